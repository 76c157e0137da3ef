// SQLSTATEs of the contract as PostgreSQL's error codes.
#pragma once

#include "pg.hpp"

#include "../core/sqlstate.hpp"

namespace faultline {

constexpr int sqlstate_code(std::string_view state) {
    return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

// core::sqlstate_unknown_queue and its siblings, by their names in the contract.
inline int errcode_jq(std::string_view state) { return errcode(sqlstate_code(state)); }

// A row that no code path of ours can have written: someone changed the tables by hand.
[[noreturn]] inline void raise_corrupt_row(int64 job_id, const char *what) {
    ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
            errmsg("job " INT64_FORMAT " is stored in an impossible state", job_id),
            errdetail("%s", what),
            errhint("Run SELECT * FROM faultline.check_invariants() and look who writes to the "
                    "tables of schema faultline."));
}

} // namespace faultline
