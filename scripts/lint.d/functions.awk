# Prints "FILE:LINE LENGTH NAME" for each function of maximum lines or more. Reads C++ as
# clang-format lays it out, and shell: a function ends at a line that has nothing but the closing
# brace, indented like the line it started on.
# Usage: awk -v maximum=70 -f functions.awk FILE...

function indent_of(line) {
    match(line, /^ */)
    return RLENGTH
}

# Things in braces that hold functions, or data, and are not functions themselves.
function is_container(text) {
    return text ~ /^ *(namespace|extern|class|struct|union|enum)[^(]*\{$/ || text ~ /= *\{+$/ ||
        text !~ /\(/
}

FNR == 1 { start = 0; inside = 0 }

{
    line = $0
    if (line ~ /^ *\/\//)
        line = "#"
    sub(/ *\/\/.*$/, "", line)
    indent = indent_of(line)
}

inside {
    if (indent == depth && line ~ /^ *\}/) {
        if (FNR - start + 1 >= maximum) {
            sub(/^ */, "", text)
            sub(/\{$/, "", text)
            printf "%s:%d %d %s\n", FILENAME, start, FNR - start + 1, text
        }
        inside = 0
        start = 0
    }
    next
}

line ~ /^ *$/ {
    start = 0
    next
}

line ~ /^ *#/ { next }

!start && indent <= 8 && line ~ /^ *[A-Za-z_~\[:]/ {
    start = FNR
    depth = indent
    text = ""
}

start {
    text = text line
    if (line ~ /;$/)
        start = 0
    else if (line ~ /\{$/) {
        if (is_container(text))
            start = 0
        else
            inside = 1
    } else if (line ~ /[}:]$/)
        start = 0
}
