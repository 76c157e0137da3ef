// Writing the fields of a jsonb object.
#pragma once

#include "pg.hpp"

namespace faultline {

inline JsonbValue json_string(const char *bytes, int length) {
    JsonbValue json;
    json.type = jbvString;
    json.val.string.val = const_cast<char *>(bytes);
    json.val.string.len = length;
    return json;
}

// A name of ours, or another text that is never null.
inline JsonbValue json_name(const char *name) {
    return json_string(name, static_cast<int>(strlen(name)));
}

// A text, cut to whole characters within bytes_max; null for none.
inline JsonbValue json_text(const text *value, int bytes_max) {
    JsonbValue json;
    json.type = jbvNull;
    if (value == nullptr)
        return json;
    auto bytes = static_cast<int>(VARSIZE_ANY_EXHDR(value));
    return json_string(VARDATA_ANY(value),
                       bytes <= bytes_max ? bytes
                                          : pg_mbcliplen(VARDATA_ANY(value), bytes, bytes_max));
}

inline JsonbValue json_number(int64 value) {
    JsonbValue json;
    json.type = jbvNumeric;
    json.val.numeric = int64_to_numeric(value);
    return json;
}

inline void push_field(JsonbParseState **state, const char *name, JsonbValue value) {
    JsonbValue key = json_name(name);
    pushJsonbValue(state, WJB_KEY, &key);
    pushJsonbValue(state, WJB_VALUE, &value);
}

} // namespace faultline
