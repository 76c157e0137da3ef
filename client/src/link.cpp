// Owns the reconnecting of a worker, with pauses that a stop request cuts short.
#include "link.hpp"

namespace faultline::client {

Link::Link(const WorkerOptions &options, const StopSignal &stop, Log &log)
    : conninfo_(options.conninfo), application_name_(options.worker), stop_(stop), log_(log),
      retry_delay_(options.reconnect_delay_max) {}

void Link::open() {
    connection_.reset();
    connection_.emplace(conninfo_, application_name_);
}

Connection *Link::connected() {
    while (!connection_ || !connection_->is_open()) {
        const bool last_try = stop_.requested();
        try {
            open();
            ++reconnects_;
            log_.line("connected again");
        } catch (const Error &error) {
            if (last_try) {
                return nullptr;
            }
            log_.line("could not connect: " + std::string(error.what()));
            pause();
        }
    }
    return &*connection_;
}

} // namespace faultline::client
