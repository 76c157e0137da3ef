// Small hash tables of plain bytes, on PostgreSQL's dynahash.
#pragma once

#include "pg.hpp"

namespace faultline {

// The key is the first `key_bytes` of an entry, compared byte by byte: zero its padding.  The table
// grows as needed and lives as long as `memory`.
inline HTAB *create_hash(const char *name, MemoryContext memory, Size key_bytes, Size entry_bytes) {
    constexpr long entries_initial = 32;
    HASHCTL control = {};
    control.keysize = key_bytes;
    control.entrysize = entry_bytes;
    control.hcxt = memory;
    return hash_create(name, entries_initial, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

} // namespace faultline
