# Prints "FILE:LINE" for each ereport of an error without an error code in its statement.

FNR == 1 { start = 0 }

!start && /ereport\((ERROR|FATAL|PANIC)/ {
    start = FNR
    text = ""
}

start {
    text = text $0
    if ($0 ~ /;[ \t]*(\/\/.*)?$/) {
        if (text !~ /errcode[a-z_]*\(/)
            printf "%s:%d\n", FILENAME, start
        start = 0
    }
}
