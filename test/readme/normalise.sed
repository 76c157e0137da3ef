# What cannot be the same in two runs, or depends on the width of such a thing. Used with sed -E on
# the printed and on the real output before they are compared; nothing else may differ.
# Moments of time, in the zone of the server.
s/[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([+-][0-9]{2}(:?[0-9]{2})?)?/TIME/g
# Lease tokens. The real one takes the place of the printed one in the blocks that follow.
s/\b[0-9]{12,19}\b/TOKEN/g
# Days in the names of partitions.
s/_[0-9]{8}\b/_DAY/g
# Widths of columns: rulers and runs of spaces.
s/-{3,}(\+-+)*/---/g
s/[[:space:]]+/ /g
s/ $//
# psql ends each result with an empty line.
/^ ?$/d
