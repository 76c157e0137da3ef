// Owns the checks and the jsonb form of declared effects.
#include "intent.hpp"

#include "json_fields.hpp"
#include "storage/accounts.hpp"

namespace faultline {

namespace {

enum Field { transaction_id, debit, credit, amount, asset, metadata };
constexpr const char *field_names[] = {"transaction_id", "debit", "credit",
                                       "amount",         "asset", "metadata"};
constexpr int field_count = lengthof(field_names);

[[noreturn]] void raise_bad_intent(int position, const char *what) {
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            position > 0 ? errmsg("invalid ledger intent in element %d", position)
                         : errmsg("invalid ledger intent"),
            errdetail("%s", what),
            errhint("Declare {\"transaction_id\": \"...\", \"debit\": \"...\", \"credit\": "
                    "\"...\", \"amount\": 100, \"asset\": \"EUR\"}, and metadata if you like."));
}

Field field_of_key(const JsonbValue &key, int position) {
    for (int i = 0; i < field_count; i++)
        if (key.val.string.len == static_cast<int>(strlen(field_names[i])) &&
            memcmp(key.val.string.val, field_names[i], key.val.string.len) == 0)
            return static_cast<Field>(i);
    int shown = pg_mbcliplen(key.val.string.val, key.val.string.len, core::account_bytes_max);
    raise_bad_intent(position, psprintf("It has no field \"%.*s\".", shown, key.val.string.val));
}

const text *text_of_value(const JsonbValue &value, Field field, int position) {
    if (value.type != jbvString)
        raise_bad_intent(position, psprintf("Field %s must be a string.", field_names[field]));
    return cstring_to_text_with_len(value.val.string.val, value.val.string.len);
}

int64 amount_of_value(const JsonbValue &value, int position) {
    if (value.type != jbvNumeric)
        raise_bad_intent(position, "Field amount must be a whole number.");
    Datum number = NumericGetDatum(value.val.numeric);
    // Rounding would move another amount than was asked for.
    Datum whole = DirectFunctionCall2(numeric_trunc, number, Int32GetDatum(0));
    if (numeric_is_nan(value.val.numeric) || numeric_is_inf(value.val.numeric) ||
        !DatumGetBool(DirectFunctionCall2(numeric_eq, number, whole)))
        raise_bad_intent(position, "Field amount must be a whole number.");
    Datum bounds[] = {NumericGetDatum(int64_to_numeric(core::amount_min)),
                      NumericGetDatum(int64_to_numeric(core::amount_max))};
    if (DatumGetBool(DirectFunctionCall2(numeric_lt, number, bounds[0])) ||
        DatumGetBool(DirectFunctionCall2(numeric_gt, number, bounds[1])))
        raise_bad_intent(position, psprintf("Field amount must lie within " INT64_FORMAT
                                            " and " INT64_FORMAT ".",
                                            core::amount_min, core::amount_max));
    return DatumGetInt64(DirectFunctionCall1(numeric_int8, number));
}

void set_field(Intent &intent, Field field, const JsonbValue &value, int position) {
    switch (field) {
    case transaction_id:
        intent.transaction_id = text_of_value(value, field, position);
        break;
    case debit:
        intent.effect.debit = text_of_value(value, field, position);
        break;
    case credit:
        intent.effect.credit = text_of_value(value, field, position);
        break;
    case asset:
        intent.effect.asset = text_of_value(value, field, position);
        break;
    case amount:
        intent.effect.amount = amount_of_value(value, position);
        break;
    case metadata:
        intent.metadata =
            value.type == jbvNull ? nullptr : JsonbValueToJsonb(const_cast<JsonbValue *>(&value));
        if (intent.metadata != nullptr)
            check_metadata_size(VARSIZE(intent.metadata));
        break;
    }
}

void append_text(StringInfo buffer, const char *name, const text *value) {
    appendStringInfo(buffer, " %s %d:", name, static_cast<int>(VARSIZE_ANY_EXHDR(value)));
    appendBinaryStringInfo(buffer, VARDATA_ANY(value), static_cast<int>(VARSIZE_ANY_EXHDR(value)));
}

} // namespace

void check_metadata_size(Size bytes) {
    if (bytes <= static_cast<Size>(core::metadata_bytes_max))
        return;
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("metadata is too large"),
            errdetail("It has %zu bytes.", bytes),
            errhint("Keep at most %d bytes; the payload of the job can be larger.",
                    core::metadata_bytes_max));
}

void check_amount(int64 amount) {
    if (amount >= core::amount_min && amount <= core::amount_max)
        return;
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("amount is out of range"),
            errdetail("amount is " INT64_FORMAT ".", amount),
            errhint("Use a whole number of the smallest unit, from " INT64_FORMAT
                    " to " INT64_FORMAT "; swap debit and credit to move it back.",
                    core::amount_min, core::amount_max));
}

void check_effect(const Effect &effect) {
    check_text_length(effect.debit, "debit", core::account_bytes_max);
    check_text_length(effect.credit, "credit", core::account_bytes_max);
    check_text_length(effect.asset, "asset", core::asset_bytes_max);
    check_amount(effect.amount);
    if (same_text(effect.debit, effect.credit))
        ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                errmsg("debit and credit are the same account"),
                errdetail("Both are \"%s\".", text_to_cstring(effect.debit)),
                errhint("An entry moves an amount between two accounts."));
}

Intent intent_from_json(Datum json, int position) {
    Jsonb *object = DatumGetJsonbP(json);
    if (!JB_ROOT_IS_OBJECT(object))
        raise_bad_intent(position, "It must be an object.");
    Intent intent = {};
    JsonbIterator *iterator = JsonbIteratorInit(&object->root);
    JsonbValue item;
    Field field = transaction_id;
    bool given[field_count] = {};
    // Nested values are skipped, so these are the fields and their values.
    for (JsonbIteratorToken token = JsonbIteratorNext(&iterator, &item, true); token != WJB_DONE;
         token = JsonbIteratorNext(&iterator, &item, true)) {
        if (token == WJB_KEY) {
            field = field_of_key(item, position);
        } else if (token == WJB_VALUE) {
            given[field] = true;
            set_field(intent, field, item, position);
        }
    }
    for (int i = 0; i < metadata; i++)
        if (!given[i])
            raise_bad_intent(position, psprintf("Field %s is missing.", field_names[i]));
    check_text_length(intent.transaction_id, "transaction_id", core::transaction_id_bytes_max);
    check_effect(intent.effect);
    require_asset(intent.effect.asset);
    return intent;
}

Datum intent_to_json(const Intent &intent) {
    JsonbParseState *state = nullptr;
    pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
    push_field(&state, field_names[transaction_id],
               json_text(intent.transaction_id, core::derived_transaction_id_bytes_max));
    push_field(&state, field_names[debit], json_text(intent.effect.debit, core::account_bytes_max));
    push_field(&state, field_names[credit],
               json_text(intent.effect.credit, core::account_bytes_max));
    push_field(&state, field_names[amount], json_number(intent.effect.amount));
    push_field(&state, field_names[asset], json_text(intent.effect.asset, core::asset_bytes_max));
    return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr)));
}

void append_intent(StringInfo fingerprint, const Intent &intent) {
    append_text(fingerprint, "transaction", intent.transaction_id);
    append_text(fingerprint, "debit", intent.effect.debit);
    append_text(fingerprint, "credit", intent.effect.credit);
    append_text(fingerprint, "asset", intent.effect.asset);
    appendStringInfo(fingerprint, " amount " INT64_FORMAT, intent.effect.amount);
}

} // namespace faultline
