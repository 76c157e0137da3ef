// Owns the check against running a copy of production: the identity stored with the jobs must be
// that of this server and database.  The answer is cached per backend; adopt() changes the row,
// whose trigger sends the message that empties the cache.
#include "instance.hpp"

#include "errors.hpp"
#include "storage/columns.hpp"
#include "storage/relations.hpp"
#include "storage/scan.hpp"
#include "storage/table.hpp"

namespace faultline {

namespace {

bool adopted = false; // cached only when true

void on_relation_change(Datum, Oid relation) {
    if (!OidIsValid(relation) || relation == relation_ids_or_none().queues)
        adopted = false;
}

bool names_this_database(TupleTableSlot *row) {
    auto system_identifier =
        static_cast<uint64>(read_int64(row, instance_column::system_identifier));
    return system_identifier == GetSystemIdentifier() &&
           DatumGetObjectId(read_column(row, instance_column::database_id).value) == MyDatabaseId;
}

bool look_up_adopted() {
    // One foreign row is enough: a dump restored over jobs of this database mixes both.
    bool foreign = false;
    visit_all_rows(relation_ids().instance, [&](TupleTableSlot *row) {
        foreign = !names_this_database(row);
        return !foreign;
    });
    return !foreign;
}

} // namespace

bool is_adopted() {
    AcceptInvalidationMessages();
    if (!adopted)
        adopted = look_up_adopted();
    return adopted;
}

void require_adopted() {
    if (!is_adopted())
        ereport(ERROR, errcode_jq(core::sqlstate_not_adopted),
                errmsg("the jobs of this database come from another instance"),
                errdetail("The database was restored from a dump, copied, or upgraded with "
                          "pg_upgrade; running its jobs here could run them a second time."),
                errhint("If they are to run here: SELECT faultline.adopt();"));
}

void register_instance_callbacks() { CacheRegisterRelcacheCallback(on_relation_change, 0); }

} // namespace faultline
