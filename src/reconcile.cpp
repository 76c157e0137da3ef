// Reconciliation's rules for SQL: sql/faultline/67_reconcile.sql finds the rows, core/ledger.hpp
// says what happens to them.
#include "arguments.hpp"
#include "result.hpp"

#include "../core/ledger.hpp"

namespace faultline {

namespace {

// The value of the enumeration whose name the text is.
template <typename Value, size_t count>
Value named(const text *name, const char *argument, const std::array<Value, count> &values,
            std::string_view (*name_of)(Value)) {
    std::string_view given(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
    for (Value value : values)
        if (name_of(value) == given)
            return value;
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown %s", argument),
            errdetail("It is \"%s\".", text_to_cstring(name)),
            errhint("core/ledger.hpp has the names."));
}

} // namespace

} // namespace faultline

FAULTLINE_FUNCTION(faultline_reconcile_rule) {
    using namespace faultline;
    core::JobSituation job = named(required_text(fcinfo, 0, "job_situation"), "job situation",
                                   core::job_situations, core::job_situation_name);
    core::EntrySituation entry =
        named(required_text(fcinfo, 1, "entry_situation"), "entry situation",
              core::entry_situations, core::entry_situation_name);
    auto state =
        static_cast<core::TransactionState>(DatumGetChar(required_datum(fcinfo, 2, "state")));
    core::ReconcileRule rule = core::reconcile_rule(job, entry, state);
    if (rule == core::ReconcileRule::nothing)
        PG_RETURN_NULL();
    PG_RETURN_DATUM(name_datum(core::reconcile_rule_name(rule)));
}
