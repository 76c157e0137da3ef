// Owns the locks by which launcher and workers show that they are there, and by which they notice
// that somebody wants a database for himself.
#include "worker.hpp"

namespace faultline {

namespace {

bool try_lock(LOCKTAG *tag, LOCKMODE mode) {
    return LockAcquire(tag, mode, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

LOCKTAG presence_tag(Presence presence, Oid database) {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database,
                       static_cast<uint16>(presence));
    // As an advisory lock: one that the end of a transaction does not release, and that of the
    // process does.
    tag.locktag_lockmethodid = USER_LOCKMETHOD;
    return tag;
}

} // namespace

bool claim_presence(Presence presence, Oid database) {
    LOCKTAG tag = presence_tag(presence, database);
    return try_lock(&tag, ExclusiveLock);
}

bool is_present(Presence presence, Oid database) {
    LOCKTAG tag = presence_tag(presence, database);
    if (!try_lock(&tag, ShareLock))
        return true;
    LockRelease(&tag, ShareLock, true);
    return false;
}

// The lock that every session takes on its database when it connects.
bool database_is_wanted(Oid database) {
    LOCKTAG tag;
    SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
    if (!try_lock(&tag, RowExclusiveLock))
        return true;
    LockRelease(&tag, RowExclusiveLock, true);
    return false;
}

} // namespace faultline
