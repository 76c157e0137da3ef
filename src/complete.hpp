// Completing as the verbs share it: complete_many() and turn().
#pragma once

#include "held_job.hpp"

namespace faultline {

// Completes each job whose lease is in force and fills in the verdicts.  `results` as
// read_results() gives it.
void complete_jobs(ManyJobs &jobs, const Elements &results);

} // namespace faultline
