// Owns how results are handed to SQL.
#include "result.hpp"

namespace faultline {

ReturnSetInfo *start_result(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, 0);
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    if (result->setDesc->natts > result_columns_max)
        elog(ERROR, "result type has %d columns", result->setDesc->natts);
    return result;
}

ReturnSetInfo *start_scalar_result(FunctionCallInfo fcinfo) {
    InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
    return reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
}

void add_result_row(ReturnSetInfo *result, const Datum *values, const bool *nulls, int count) {
    Datum row_values[result_columns_max] = {};
    bool row_nulls[result_columns_max];
    for (int i = 0; i < result->setDesc->natts; i++) {
        row_nulls[i] = i >= count || nulls[i];
        if (!row_nulls[i])
            row_values[i] = values[i];
    }
    tuplestore_putvalues(result->setResult, result->setDesc, row_values, row_nulls);
}

Datum name_datum(std::string_view name) {
    return PointerGetDatum(cstring_to_text_with_len(name.data(), static_cast<int>(name.size())));
}

Datum verdict_datum(core::Verdict verdict) { return name_datum(core::verdict_name(verdict)); }

void add_verdict_row(ReturnSetInfo *result, int64 job_id, core::Verdict verdict) {
    Datum values[2] = {Int64GetDatum(job_id), verdict_datum(verdict)};
    bool nulls[2] = {};
    add_result_row(result, values, nulls, 2);
    pfree(DatumGetPointer(values[1]));
}

} // namespace faultline
