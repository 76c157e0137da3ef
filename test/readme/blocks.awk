# Splits a page into the code that test/readme/run executes. Writes, for the Nth block of code,
# FOLDER/NN.sql or FOLDER/NN.sh, FOLDER/NN.line (where it starts), and FOLDER/NN.expected if an
# output block follows it with nothing but blank lines between.
# Usage: awk -v folder=FOLDER -f blocks.awk PAGE

function base() { return sprintf("%s/%02d", folder, count) }

/^```/ && inside {
    inside = ""
    close(out)
    next
}

inside {
    if (out != "")
        print >out
    next
}

/^```/ {
    inside = $0
    out = ""
    if ($0 == "```sql" || $0 == "```sh run") {
        count++
        out = base() ($0 == "```sql" ? ".sql" : ".sh")
        print FNR >(base() ".line")
        close(base() ".line")
        printf "" >out
        code_before = 1
    } else if ($0 == "```text" && code_before) {
        out = base() ".expected"
        printf "" >out
        code_before = 0
    } else
        code_before = 0
    next
}

NF { code_before = 0 }
