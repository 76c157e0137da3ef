// Rows that a function returns.
#pragma once

#include "pg.hpp"

#include "../core/verdict.hpp"

namespace faultline {

inline constexpr int result_columns_max = 32;

// A materialised result of the type the function is declared with.
ReturnSetInfo *start_result(FunctionCallInfo fcinfo);
// The same for a function that returns a set of one plain type.
ReturnSetInfo *start_scalar_result(FunctionCallInfo fcinfo);

// Stores one row.  The declared type may have fewer columns than the library knows (an older
// version of the type): the rest is left out.  Columns it has beyond are null.
void add_result_row(ReturnSetInfo *result, const Datum *values, const bool *nulls, int count);

void add_verdict_row(ReturnSetInfo *result, int64 job_id, core::Verdict verdict);

Datum name_datum(std::string_view name); // as text
Datum verdict_datum(core::Verdict verdict);

} // namespace faultline
