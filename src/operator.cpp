// The operators' functions that are written in PL/pgSQL and need the owner's rights.
//
// SECURITY DEFINER would hide who calls: inside, the current user is the owner already, and the
// session's user may be somebody else altogether (a superuser whose ANALYZE runs an index
// expression).  So SQL calls this one entry; it checks the current user, becomes the owner, and
// calls the function of the same name with "_as_owner" behind it, which nobody else may call.
#include "access.hpp"
#include "arguments.hpp"

namespace faultline {

namespace {

constexpr const char *owner_function_suffix = "_as_owner";

Oid owner_function(Oid function, const char *function_name, int argument_count) {
    Oid *argument_types;
    int declared_count;
    get_func_signature(function, &argument_types, &declared_count);
    Assert(declared_count == argument_count);
    char *name = psprintf("%s%s", function_name, owner_function_suffix);
    List *qualified = list_make2(makeString(pstrdup("faultline")), makeString(name));
    return LookupFuncName(qualified, argument_count, argument_types, false);
}

// Needs the check of the caller's level.
Datum call_as_owner(FunctionCallInfo fcinfo) {
    const char *function_name = get_func_name(fcinfo->flinfo->fn_oid);
    PreventCommandIfReadOnly(psprintf("faultline.%s()", function_name));
    FmgrInfo target;
    fmgr_info(owner_function(fcinfo->flinfo->fn_oid, function_name, fcinfo->nargs), &target);
    LOCAL_FCINFO(call, FUNC_MAX_ARGS);
    InitFunctionCallInfoData(*call, &target, fcinfo->nargs, fcinfo->fncollation, fcinfo->context,
                             fcinfo->resultinfo);
    memcpy(call->args, fcinfo->args, sizeof(NullableDatum) * fcinfo->nargs);

    Oid caller;
    int security_context;
    GetUserIdAndSecContext(&caller, &security_context);
    // An error leaves this to the abort of the (sub)transaction, which restores both.
    SetUserIdAndSecContext(owner_of_extension(), security_context | SECURITY_LOCAL_USERID_CHANGE);
    Datum result = FunctionCallInvoke(call);
    SetUserIdAndSecContext(caller, security_context);
    fcinfo->isnull = call->isnull;
    return result;
}

} // namespace

} // namespace faultline

// For functions about the whole database: asks for the level on all queues.
FAULTLINE_FUNCTION(faultline_call_as_owner) {
    using namespace faultline;
    require_access({}, AccessLevel::operate);
    return call_as_owner(fcinfo);
}

// For functions whose first argument names the queue they work on.
FAULTLINE_FUNCTION(faultline_call_as_owner_of_queue) {
    using namespace faultline;
    require_access(require_queue(required_text(fcinfo, 0, "queue name")), AccessLevel::operate);
    return call_as_owner(fcinfo);
}
