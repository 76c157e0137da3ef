// Owns the file that keeps the counters over a clean restart; the postmaster alone touches it, when
// no session is there.  Depths are not in it: rows may change while the server is down.
#include "file.hpp"

#include "memory.hpp"

namespace faultline {

namespace {

#define FAULTLINE_STATISTICS_FILE PGSTAT_STAT_PERMANENT_DIRECTORY "/faultline.stat"
constexpr const char *file_name = FAULTLINE_STATISTICS_FILE;
constexpr const char *new_file_name = FAULTLINE_STATISTICS_FILE ".new";
constexpr uint32 file_magic = 0x464c5331; // changes with the format

struct FileHeader {
    uint32 magic = file_magic;
    uint32 server_version = PG_VERSION_NUM / 10'000;
    uint32 event_count = core::job_event_count;
    uint32 latency_count = core::latency_count;
    uint32 bucket_count = core::latency_bucket_count;
    uint32 slot_bytes = 0;

    bool operator==(const FileHeader &) const = default;
};

struct FileSlot {
    Oid database_id;
    Oid live_jobs;
    int32 queue_id;
    uint32 unused;
    uint64 reset_at;
    uint64 totals[core::job_event_count];
    uint64 buckets[core::latency_count][core::latency_bucket_count];
    uint64 sums_microseconds[core::latency_count];
};
static_assert(std::has_unique_object_representations_v<FileSlot>);

constexpr FileHeader own_header = {.slot_bytes = sizeof(FileSlot)};

// A stream with the checksum of what went through it.
struct CheckedFile {
    FILE *stream;
    pg_crc32c checksum;
    bool good;
};

void write_part(CheckedFile &file, const void *data, size_t bytes) {
    file.good = file.good && fwrite(data, bytes, 1, file.stream) == 1;
    COMP_CRC32C(file.checksum, data, bytes);
}

bool read_part(CheckedFile &file, void *data, size_t bytes) {
    file.good = file.good && fread(data, bytes, 1, file.stream) == 1;
    if (file.good)
        COMP_CRC32C(file.checksum, data, bytes);
    return file.good;
}

CheckedFile open_file(const char *name, const char *mode) {
    CheckedFile file = {AllocateFile(name, mode), 0, true};
    INIT_CRC32C(file.checksum);
    return file;
}

FileSlot copy_of(QueueSlot *slot) {
    FileSlot copy = {.database_id = slot->owner.database_id,
                     .live_jobs = slot->owner.live_jobs,
                     .queue_id = slot->owner.queue_id,
                     .unused = 0,
                     .reset_at = pg_atomic_read_u64(&slot->reset_at)};
    for (size_t event = 0; event < core::job_event_count; event++)
        copy.totals[event] = pg_atomic_read_u64(&slot->totals[event]);
    for (size_t i = 0; i < core::latency_count; i++) {
        for (size_t bucket = 0; bucket < core::latency_bucket_count; bucket++)
            copy.buckets[i][bucket] = pg_atomic_read_u64(&slot->latencies[i].buckets[bucket]);
        copy.sums_microseconds[i] = pg_atomic_read_u64(&slot->latencies[i].sum_microseconds);
    }
    return copy;
}

void fill_slot(QueueSlot *slot, const FileSlot &copy) {
    slot->owner = {copy.database_id, copy.live_jobs, copy.queue_id};
    pg_atomic_write_u64(&slot->reset_at, copy.reset_at);
    for (size_t event = 0; event < core::job_event_count; event++)
        pg_atomic_write_u64(&slot->totals[event], copy.totals[event]);
    for (size_t i = 0; i < core::latency_count; i++) {
        for (size_t bucket = 0; bucket < core::latency_bucket_count; bucket++)
            pg_atomic_write_u64(&slot->latencies[i].buckets[bucket], copy.buckets[i][bucket]);
        pg_atomic_write_u64(&slot->latencies[i].sum_microseconds, copy.sums_microseconds[i]);
    }
}

// Reads all that is there; the queues that find no slot any more are left out.  False: the file is
// not one that this library has written.
bool read_slots(CheckedFile &file) {
    uint32 count;
    FileHeader header;
    if (!read_part(file, &header, sizeof(header)) || header != own_header ||
        !read_part(file, &count, sizeof(count)))
        return false;
    int next = overflow_slot + 1;
    for (uint32 i = 0; i < count; i++) {
        FileSlot copy;
        if (!read_part(file, &copy, sizeof(copy)))
            return false;
        if (!OidIsValid(copy.database_id))
            fill_slot(statistics_slot(overflow_slot), copy);
        else if (next < shared_statistics()->slot_count)
            fill_slot(statistics_slot(next++), copy);
    }
    pg_crc32c expected = file.checksum;
    FIN_CRC32C(expected);
    pg_crc32c found;
    return fread(&found, sizeof(found), 1, file.stream) == 1 && EQ_CRC32C(found, expected) &&
           fgetc(file.stream) == EOF;
}

} // namespace

void load_statistics() {
    CheckedFile file = open_file(file_name, PG_BINARY_R);
    if (file.stream == nullptr) {
        if (errno != ENOENT)
            ereport(LOG, errcode_for_file_access(),
                    errmsg("could not read file \"%s\": %m", file_name));
        return;
    }
    if (!read_slots(file)) {
        ereport(LOG, errcode(ERRCODE_DATA_CORRUPTED),
                errmsg("ignoring invalid data in file \"%s\"", file_name));
        init_statistics();
    }
    FreeFile(file.stream);
    unlink(file_name);
}

void save_statistics(int exit_code, Datum) {
    if (exit_code != 0 || shared_statistics() == nullptr)
        return;
    CheckedFile file = open_file(new_file_name, PG_BINARY_W);
    if (file.stream != nullptr) {
        write_part(file, &own_header, sizeof(own_header));
        uint32 count = 0;
        for (int i = 0; i < shared_statistics()->slot_count; i++)
            count += i == overflow_slot || OidIsValid(statistics_slot(i)->owner.database_id);
        write_part(file, &count, sizeof(count));
        for (int i = 0; i < shared_statistics()->slot_count; i++) {
            if (i != overflow_slot && !OidIsValid(statistics_slot(i)->owner.database_id))
                continue;
            FileSlot copy = copy_of(statistics_slot(i));
            write_part(file, &copy, sizeof(copy));
        }
        pg_crc32c checksum = file.checksum;
        FIN_CRC32C(checksum);
        file.good = file.good && fwrite(&checksum, sizeof(checksum), 1, file.stream) == 1;
        file.good = FreeFile(file.stream) == 0 && file.good;
        if (file.good && durable_rename(new_file_name, file_name, LOG) == 0)
            return;
    }
    ereport(LOG, errcode_for_file_access(),
            errmsg("could not write file \"%s\": %m", new_file_name));
    unlink(new_file_name);
}

} // namespace faultline
