// A list of plain items that lives as long as the transaction.
#pragma once

#include "pg.hpp"

namespace faultline {

// Grows before anything is added, so that nothing needs memory when the transaction ends; then the
// owner makes it empty: list = {}.
template <typename Item> struct TransactionList {
    static_assert(std::is_trivially_copyable_v<Item>);
    Item *items; // in TopTransactionContext
    int count;
    int room;
};

template <typename Item> void reserve(TransactionList<Item> &list, int more) {
    constexpr int room_at_first = 16;
    if (list.count + more <= list.room)
        return;
    int room = Max(Max(list.room * 2, room_at_first), list.count + more);
    Size bytes = sizeof(Item) * room;
    list.items = static_cast<Item *>(list.items == nullptr
                                         ? MemoryContextAllocHuge(TopTransactionContext, bytes)
                                         : repalloc_huge(list.items, bytes));
    list.room = room;
}

template <typename Item> Item &add(TransactionList<Item> &list, const Item &item) {
    reserve(list, 1);
    return list.items[list.count++] = item;
}

} // namespace faultline
