// Owns the access check: EXECUTE on the functions gates the level, this file gates the queue.
// Direct row access asks no table privileges, so every verb asks here.
#include "access.hpp"

#include "hash.hpp"
#include "storage/columns.hpp"
#include "storage/relations.hpp"
#include "storage/scan.hpp"
#include "storage/table.hpp"

namespace faultline {

Oid owner_of_extension() {
    Relation queues = open_relation(relation_ids().queues, AccessShareLock);
    Oid owner = queues->rd_rel->relowner;
    table_close(queues, AccessShareLock);
    return owner;
}

namespace {

struct AnswerKey {
    Oid user;
    int32 queue_id;
    int32 level;
};
struct Answer {
    AnswerKey key;
    bool allowed;
};

HTAB *answers = nullptr;
MemoryContext answers_memory = nullptr;
bool answers_valid = false;

void on_relation_change(Datum, Oid relation) {
    if (!OidIsValid(relation) || relation == relation_ids_or_none().queues)
        answers_valid = false;
}

void on_membership_change(Datum, int, uint32) { answers_valid = false; }

const char *level_name(AccessLevel level) {
    switch (level) {
    case AccessLevel::producer:
        return "producer";
    case AccessLevel::worker:
        return "worker";
    case AccessLevel::operate:
        return "operator";
    case AccessLevel::monitor:
        return "monitor";
    }
    return "unknown";
}

bool owns_extension(Oid user) {
    if (superuser_arg(user))
        return true;
    return has_privs_of_role(user, owner_of_extension());
}

bool row_grants(TupleTableSlot *row, Oid user, const QueuePolicy &policy, AccessLevel level) {
    if (strcmp(TextDatumGetCString(read_column(row, access_column::level).value),
               level_name(level)) != 0)
        return false;
    Column queue = read_column(row, access_column::queue);
    if (!queue.is_null && strcmp(TextDatumGetCString(queue.value), policy.name) != 0)
        return false;
    Name role_name = DatumGetName(read_column(row, access_column::role_name).value);
    Oid role = get_role_oid(NameStr(*role_name), true);
    return OidIsValid(role) && has_privs_of_role(user, role);
}

bool look_up_access(Oid user, const QueuePolicy &policy, AccessLevel level) {
    if (owns_extension(user))
        return true;
    bool allowed = false;
    visit_all_rows(relation_ids().queue_access, [&](TupleTableSlot *row) {
        allowed = row_grants(row, user, policy, level);
        return !allowed;
    });
    return allowed;
}

void refresh_answers() {
    if (answers_valid)
        return;
    if (answers_memory == nullptr)
        answers_memory = AllocSetContextCreate(CacheMemoryContext, "faultline access answers",
                                               ALLOCSET_SMALL_SIZES);
    MemoryContextReset(answers_memory);
    answers =
        create_hash("faultline access answers", answers_memory, sizeof(AnswerKey), sizeof(Answer));
    answers_valid = true;
}

} // namespace

bool has_access(const QueuePolicy &policy, AccessLevel level) {
    refresh_answers();
    AnswerKey key = {GetUserId(), policy.queue_id, static_cast<int32>(level)};
    auto *cached = static_cast<Answer *>(hash_search(answers, &key, HASH_FIND, nullptr));
    if (cached != nullptr)
        return cached->allowed;
    bool allowed = look_up_access(key.user, policy, level);
    // The look-up may have emptied the cache; what it read is then not kept.
    if (answers_valid) {
        auto *entry = static_cast<Answer *>(hash_search(answers, &key, HASH_ENTER, nullptr));
        entry->allowed = allowed;
    }
    return allowed;
}

namespace {

// What the jobs of a queue carry is for everyone who has to do with them, not for monitors.
constexpr AccessLevel payload_levels[] = {AccessLevel::producer, AccessLevel::worker,
                                          AccessLevel::operate};

bool payload_visible(const QueuePolicy &policy) {
    for (AccessLevel level : payload_levels)
        if (has_access(policy, level))
            return true;
    return false;
}

[[noreturn]] void raise_no_access(const QueuePolicy &policy, AccessLevel level) {
    const char *user = GetUserNameFromId(GetUserId(), false);
    const char *role = quote_literal_cstr(quote_identifier(user));
    if (policy.name[0] == '\0')
        ereport(
            ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("permission denied for all queues"),
            errdetail("Role \"%s\" is not %s of every queue.", user, level_name(level)),
            errhint("An owner of the extension can run: SELECT faultline.grant_access(%s, '%s');",
                    role, level_name(level)));
    ereport(ERROR, errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
            errmsg("permission denied for queue \"%s\"", policy.name),
            errdetail("Role \"%s\" is not %s of this queue.", user, level_name(level)),
            errhint("An owner of the extension can run: SELECT faultline.grant_access(%s, '%s', "
                    "'{%s}');",
                    role, level_name(level), policy.name));
}

} // namespace

bool queue_visible(const QueuePolicy &policy) {
    return payload_visible(policy) || has_access(policy, AccessLevel::monitor);
}

void require_access(const QueuePolicy &policy, AccessLevel level) {
    if (!has_access(policy, level))
        raise_no_access(policy, level);
}

void register_access_callbacks() {
    CacheRegisterRelcacheCallback(on_relation_change, 0);
    CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, on_membership_change, 0);
    CacheRegisterSyscacheCallback(AUTHOID, on_membership_change, 0);
}

} // namespace faultline

// Filter of the views: true when the current user may see jobs of the queue.  False, too, when its
// row is gone: a reader's snapshot may be older than that.
FAULTLINE_FUNCTION(faultline_queue_visible) {
    using namespace faultline;
    QueuePolicy policy;
    PG_RETURN_BOOL(!PG_ARGISNULL(0) && find_queue_by_id(PG_GETARG_INT32(0), &policy) &&
                   queue_visible(policy));
}

// True when the current user may read what the jobs of the queue carry.
FAULTLINE_FUNCTION(faultline_payload_visible) {
    using namespace faultline;
    QueuePolicy policy;
    PG_RETURN_BOOL(!PG_ARGISNULL(0) && find_queue_by_id(PG_GETARG_INT32(0), &policy) &&
                   payload_visible(policy));
}
