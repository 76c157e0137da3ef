// Implements connecting and the judgement of errors.
#include "reconnecting_client.hpp"

namespace faultline::lab {

void Route::lead_to(const std::string &conninfo) {
    const std::scoped_lock guard(mutex_);
    conninfo_ = conninfo;
}

std::string Route::conninfo() const {
    const std::scoped_lock guard(mutex_);
    return conninfo_;
}

void run_recorded(const Route &route, Record &record, const std::function<void()> &body) {
    try {
        body();
    } catch (const std::exception &error) {
        if (!route.is_abandoned())
            record.fail(error.what());
    }
}

client::Connection &ReconnectingClient::connection() {
    if (!connection_)
        connection_ = std::make_unique<client::Connection>(route_.conninfo(), name_);
    return *connection_;
}

void ReconnectingClient::prepare_to_repeat(const client::Error &error) {
    if (!error.retryable() || route_.is_abandoned())
        throw error;
    if (error.in_doubt() && !in_doubt_) {
        in_doubt_ = true;
        record_.doubt();
    }
    if (connection_ && !connection_->is_open())
        connection_.reset();
    poll(nullptr, 0, idle_milliseconds);
}

} // namespace faultline::lab
