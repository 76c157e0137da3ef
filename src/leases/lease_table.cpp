// Owns the table of leases in shared memory: a hash in partitions of fixed size, each under a lock
// of its own.  Nobody takes two of these locks, nor anything else, while he has one.
#include "lease_table.hpp"

#include "../clock.hpp"
#include "../settings.hpp"
#include "../worker_state.hpp"

namespace faultline {

namespace {

constexpr int partition_count = 16;
// Jobs share them: holding one keeps others of its partition from being extended in memory.
constexpr int holds_per_partition = 256;
constexpr int32 none = -1;

struct Entry {
    Oid database_id;
    int32 next; // in its bucket, or in the list of free ones
    int64 job_id;
    int64 token;
    TimestampTz ends_at;
    int32 attempt;
    bool extended; // in memory, so that the row does not know the end
};

struct Partition {
    LWLock lock;       // of all that is below, and of the partition's entries and buckets
    int32 used_count;  // entries from 0 on that were used since all were free
    int32 free_first;  // of those, or none
    int32 known_count; // leases
    uint32 holds[holds_per_partition];
};

// Words that are read and written atomically.
struct DatabaseLeases {
    Oid database_id; // written before it is counted
    pg_atomic_uint64 since;
    pg_atomic_uint64 missed;
    pg_atomic_uint64 known_when_missed; // every lease was known when so many were missed
};

struct LeaseTable {
    LWLock databases_lock; // of adding one, and of began_at
    TimestampTz began_at;  // the first one was added, so nothing was remembered before; real time
    pg_atomic_uint32 database_count;
    DatabaseLeases databases[lease_databases_max];
    int32 entries_per_partition;
    Partition partitions[partition_count];
};
static_assert(std::is_standard_layout_v<LeaseTable>);

LeaseTable *table = nullptr;
Entry *entries = nullptr;      // of all partitions, one after the other
int32 *buckets = nullptr;      // the same: the first entry of each, or none
DatabaseLeases *own = nullptr; // of this session's database

int32 entries_wanted_per_partition() {
    return (settings::leases_max + partition_count - 1) / partition_count;
}

Size entries_bytes(int32 per_partition) {
    return mul_size(mul_size(sizeof(Entry), partition_count), per_partition);
}

Size table_bytes() {
    int32 per_partition = entries_wanted_per_partition();
    Size bytes = add_size(MAXALIGN(sizeof(LeaseTable)), entries_bytes(per_partition));
    return add_size(bytes, mul_size(sizeof(int32) * partition_count, per_partition));
}

void init_table(int32 per_partition) {
    init_shared_lock(&table->databases_lock);
    pg_atomic_init_u32(&table->database_count, 0);
    table->entries_per_partition = per_partition;
    for (Partition &partition : table->partitions) {
        init_shared_lock(&partition.lock);
        partition.used_count = 0;
        partition.free_first = none;
        partition.known_count = 0;
        memset(partition.holds, 0, sizeof(partition.holds));
    }
    for (int32 i = 0; i < partition_count * per_partition; i++)
        buckets[i] = none;
}

void attach_memory(void *memory, bool is_new) {
    auto *bytes = static_cast<char *>(memory);
    int32 per_partition = entries_wanted_per_partition();
    table = static_cast<LeaseTable *>(memory);
    entries = reinterpret_cast<Entry *>(bytes + MAXALIGN(sizeof(LeaseTable)));
    buckets = reinterpret_cast<int32 *>(bytes + MAXALIGN(sizeof(LeaseTable)) +
                                        entries_bytes(per_partition));
    if (is_new)
        init_table(per_partition);
}

// Where a job is, and with the partition's lock taken all that belongs to it.
struct Place {
    Partition *partition;
    Entry *entries; // of the partition
    int32 *bucket;
    uint32 *holds;
};

Place place_of(int64 job_id) {
    struct {
        int64 job_id;
        int64 database_id;
    } key = {job_id, MyDatabaseId};
    uint32 hash = hash_bytes(reinterpret_cast<const unsigned char *>(&key), sizeof(key));
    uint32 number = hash % partition_count;
    uint32 rest = hash / partition_count;
    Partition *partition = &table->partitions[number];
    int32 first = static_cast<int32>(number) * table->entries_per_partition;
    return {.partition = partition,
            .entries = entries + first,
            .bucket = buckets + first + rest % table->entries_per_partition,
            .holds = &partition->holds[rest % holds_per_partition]};
}

// The link that leads to the job's entry, or to none.
int32 *find_link(const Place &place, int64 job_id) {
    int32 *link = place.bucket;
    while (*link != none && (place.entries[*link].job_id != job_id ||
                             place.entries[*link].database_id != MyDatabaseId))
        link = &place.entries[*link].next;
    return link;
}

Entry *find_entry(const Place &place, int64 job_id) {
    int32 *link = find_link(place, job_id);
    return *link == none ? nullptr : &place.entries[*link];
}

Entry *find_entry(const Place &place, int64 job_id, int64 token) {
    Entry *entry = find_entry(place, job_id);
    return entry != nullptr && entry->token == token ? entry : nullptr;
}

// Null when the partition is full.
Entry *add_entry(const Place &place, int64 job_id) {
    Partition &partition = *place.partition;
    int32 position = partition.free_first;
    if (position != none)
        partition.free_first = place.entries[position].next;
    else if (partition.used_count < table->entries_per_partition)
        position = partition.used_count++;
    else
        return nullptr;
    Entry *entry = &place.entries[position];
    *entry = {.database_id = MyDatabaseId, .next = *place.bucket, .job_id = job_id};
    *place.bucket = position;
    partition.known_count++;
    return entry;
}

// The entry that is to hold the lease; null when there is no room.  A later attempt of the job
// keeps its own: this one has ended then, and what tells of it comes late.  Or the job is another
// one with the same id, after the tables were emptied and the ids begun anew.
Entry *entry_for(const Place &place, const KnownLease &lease) {
    Entry *entry = find_entry(place, lease.job_id);
    if (entry == nullptr)
        return add_entry(place, lease.job_id);
    return entry->attempt <= lease.attempt ? entry : nullptr;
}

void remove_entry(const Place &place, int32 *link) {
    Partition &partition = *place.partition;
    int32 position = *link;
    Entry &entry = place.entries[position];
    *link = entry.next;
    entry = {.database_id = InvalidOid, .next = partition.free_first};
    partition.free_first = position;
    if (--partition.known_count == 0) {
        partition.used_count = 0;
        partition.free_first = none;
    }
}

void write_lease(Entry *entry, const KnownLease &lease) {
    if (entry == nullptr) {
        pg_atomic_fetch_add_u64(&own->missed, 1);
        return;
    }
    entry->token = lease.token;
    entry->ends_at = lease.ends_at;
    entry->attempt = lease.attempt;
    entry->extended = false;
}

DatabaseLeases *find_database() {
    uint32 count = pg_atomic_read_u32(&table->database_count);
    pg_read_barrier();
    for (uint32 i = 0; i < count; i++)
        if (table->databases[i].database_id == MyDatabaseId)
            return &table->databases[i];
    return nullptr;
}

// A virtual clock says nothing about when the server started, but what it says first.
DatabaseLeases *add_database(TimestampTz now) {
    bool is_virtual = clock_is_virtual();
    LWLockAcquire(&table->databases_lock, LW_EXCLUSIVE);
    DatabaseLeases *found = find_database();
    uint32 count = pg_atomic_read_u32(&table->database_count);
    if (count == 0)
        table->began_at = waiting_clock();
    if (found == nullptr && count < lease_databases_max) {
        found = &table->databases[count];
        found->database_id = MyDatabaseId;
        pg_atomic_init_u64(&found->since, static_cast<uint64>(is_virtual ? now : table->began_at));
        pg_atomic_init_u64(&found->missed, 1);
        pg_atomic_init_u64(&found->known_when_missed, 0);
        pg_write_barrier();
        pg_atomic_write_u32(&table->database_count, count + 1);
    }
    LWLockRelease(&table->databases_lock);
    return found;
}

} // namespace

const SharedSegment lease_table_segment = {
    .name = "faultline leases", .bytes = table_bytes, .attach = attach_memory};

bool leases_are_shared() { return table != nullptr && table->entries_per_partition > 0; }

LeaseRoom lease_room() {
    LeaseRoom room = {};
    for (int number = 0; leases_are_shared() && number < partition_count; number++) {
        Partition &partition = table->partitions[number];
        LWLockAcquire(&partition.lock, LW_SHARED);
        int32 known = partition.known_count;
        LWLockRelease(&partition.lock);
        room.slots += table->entries_per_partition;
        room.used += known;
        room.full = room.full || known >= table->entries_per_partition;
    }
    return room;
}

bool attach_leases(TimestampTz now) {
    if (own != nullptr)
        return true;
    if (!leases_are_shared())
        return false;
    own = find_database();
    if (own == nullptr && !RecoveryInProgress())
        own = add_database(now);
    return own != nullptr;
}

TimestampTz leases_remembered_since(TimestampTz now) {
    if (!attach_leases(now))
        return core::time_unknown;
    lower_time(&own->since, now);
    return read_time(&own->since);
}

void enter_lease(const KnownLease &lease) {
    if (own == nullptr)
        return;
    Place place = place_of(lease.job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    write_lease(entry_for(place, lease), lease);
    LWLockRelease(&place.partition->lock);
}

void enter_lease_if_unknown(const KnownLease &lease) {
    if (own == nullptr)
        return;
    Place place = place_of(lease.job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    if (find_entry(place, lease.job_id, lease.token) == nullptr)
        write_lease(entry_for(place, lease), lease);
    LWLockRelease(&place.partition->lock);
}

void leave_lease(int64 job_id, int64 token) {
    Place place = place_of(job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    if (find_entry(place, job_id, token) != nullptr)
        remove_entry(place, find_link(place, job_id));
    LWLockRelease(&place.partition->lock);
}

void hold_lease(int64 job_id) {
    Place place = place_of(job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    (*place.holds)++;
    LWLockRelease(&place.partition->lock);
}

void let_go_of_lease(int64 job_id) {
    Place place = place_of(job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    (*place.holds)--;
    LWLockRelease(&place.partition->lock);
}

bool extend_in_memory(const MemoryExtension &extension) {
    if (own == nullptr)
        return false;
    bool extended = false;
    Place place = place_of(extension.job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    Entry *entry = find_entry(place, extension.job_id, extension.token);
    if (entry != nullptr && *place.holds == 0) {
        TimestampTz ends_at = entry->extended ? Max(entry->ends_at, extension.end_without_memory)
                                              : extension.end_without_memory;
        extended = !core::lease_has_ended(ends_at, extension.now) && extension.ends_at >= ends_at;
        if (extended) {
            entry->ends_at = extension.ends_at;
            entry->extended = true;
        }
    }
    LWLockRelease(&place.partition->lock);
    return extended;
}

TimestampTz lease_extended_to(int64 job_id, int64 token) {
    if (own == nullptr)
        return core::time_unknown;
    Place place = place_of(job_id);
    LWLockAcquire(&place.partition->lock, LW_SHARED);
    Entry *entry = find_entry(place, job_id, token);
    TimestampTz ends_at = entry != nullptr && entry->extended ? entry->ends_at : core::time_unknown;
    LWLockRelease(&place.partition->lock);
    return ends_at;
}

int collect_ended_leases(TimestampTz now, KnownLease *leases, int count_max,
                         TimestampTz *next_end) {
    int count = 0;
    for (int number = 0; number < partition_count && count < count_max; number++) {
        CHECK_FOR_INTERRUPTS();
        Partition &partition = table->partitions[number];
        Entry *first = entries + number * table->entries_per_partition;
        LWLockAcquire(&partition.lock, LW_SHARED);
        for (int32 i = 0; i < partition.used_count && count < count_max; i++) {
            const Entry &entry = first[i];
            if (entry.database_id != MyDatabaseId)
                continue;
            if (core::lease_has_ended(entry.ends_at, now))
                leases[count++] = {entry.job_id, entry.token, entry.ends_at, entry.attempt};
            else
                *next_end = Min(*next_end, entry.ends_at);
        }
        LWLockRelease(&partition.lock);
    }
    return count;
}

void correct_lease_end(const KnownLease &lease, TimestampTz ends_at) {
    Place place = place_of(lease.job_id);
    LWLockAcquire(&place.partition->lock, LW_EXCLUSIVE);
    Entry *entry = find_entry(place, lease.job_id, lease.token);
    if (entry != nullptr && !entry->extended && entry->ends_at == lease.ends_at)
        entry->ends_at = ends_at;
    LWLockRelease(&place.partition->lock);
}

uint64 leases_missed() { return own == nullptr ? 0 : pg_atomic_read_u64(&own->missed); }

void note_every_lease_entered(uint64 missed_before) {
    if (own != nullptr)
        pg_atomic_write_u64(&own->known_when_missed, missed_before);
}

bool every_lease_is_known() {
    return own != nullptr &&
           pg_atomic_read_u64(&own->known_when_missed) == pg_atomic_read_u64(&own->missed);
}

} // namespace faultline
