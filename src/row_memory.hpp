// Memory of one row in a loop over many.
#pragma once

#include "pg.hpp"

namespace faultline {

inline MemoryContext create_row_memory() {
    return AllocSetContextCreate(CurrentMemoryContext, "faultline row", ALLOCSET_DEFAULT_SIZES);
}

// Runs act() with what it allocates thrown away afterwards, so that a call for many jobs needs no
// more memory than one for a few.  What must live longer is allocated in a context of its own.
template <typename Act> auto in_row_memory(MemoryContext row_memory, Act act) {
    MemoryContext caller = MemoryContextSwitchTo(row_memory);
    if constexpr (std::is_void_v<decltype(act())>) {
        act();
        MemoryContextSwitchTo(caller);
        MemoryContextReset(row_memory);
    } else {
        auto result = act();
        MemoryContextSwitchTo(caller);
        MemoryContextReset(row_memory);
        return result;
    }
}

} // namespace faultline
