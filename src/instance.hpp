// Whether the jobs of this database are to run here.
#pragma once

#include "pg.hpp"

namespace faultline {

// Raises JQ011 in a database whose rows came from another one (a restored dump, a copied database,
// a server upgraded by pg_upgrade) until adopt() was called.
void require_adopted();
bool is_adopted();

// Called once per process, from _PG_init.
void register_instance_callbacks();

} // namespace faultline
