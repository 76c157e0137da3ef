// Owns the self-pipe behind StopSignal and the process's handlers of SIGTERM and SIGINT.
#include "faultline/stop_signal.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace faultline::client {

namespace {

constexpr std::array termination_signals = {SIGTERM, SIGINT};

std::atomic<int> termination_descriptor{-1};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler reads it");

void set_latch(int descriptor) noexcept {
    const char byte = 's';
    // A full pipe means that the stop was requested before: nothing to do then.
    [[maybe_unused]] const ssize_t written = ::write(descriptor, &byte, 1);
}

extern "C" void faultline_on_termination(int) {
    const int saved_errno = errno;
    set_latch(termination_descriptor.load());
    errno = saved_errno;
}

bool latch_is_set(int descriptor, int timeout_ms) noexcept {
    pollfd latch{};
    latch.fd = descriptor;
    latch.events = POLLIN;
    return ::poll(&latch, 1, timeout_ms) > 0;
}

void set_handlers(void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    for (const int signal : termination_signals) {
        sigaction(signal, &action, nullptr);
    }
}

} // namespace

StopSignal::StopSignal() {
    std::array<int, 2> descriptors{};
    if (::pipe2(descriptors.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
        throw std::system_error(errno, std::generic_category(), "could not create a pipe");
    }
    read_descriptor_ = descriptors[0];
    write_descriptor_ = descriptors[1];
}

StopSignal::~StopSignal() {
    if (catches_termination_) {
        set_handlers(SIG_DFL);
        termination_descriptor.store(-1);
    }
    ::close(read_descriptor_);
    ::close(write_descriptor_);
}

void StopSignal::catch_termination() {
    int free_slot = -1;
    if (!termination_descriptor.compare_exchange_strong(free_slot, write_descriptor_)) {
        throw std::logic_error("another StopSignal catches the termination signals already");
    }
    catches_termination_ = true;
    set_handlers(faultline_on_termination);
}

void StopSignal::request() noexcept { set_latch(write_descriptor_); }

bool StopSignal::requested() const noexcept { return latch_is_set(read_descriptor_, 0); }

bool StopSignal::wait_for_input(int descriptor) const noexcept {
    std::array<pollfd, 2> inputs{};
    inputs[0].fd = read_descriptor_;
    inputs[1].fd = descriptor;
    for (pollfd &input : inputs) {
        input.events = POLLIN;
    }
    const int for_ever = -1;
    while (::poll(inputs.data(), inputs.size(), for_ever) < 0 && errno == EINTR) {
    }
    return requested();
}

bool StopSignal::wait_for(std::chrono::milliseconds timeout) const noexcept {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        // A signal that is not ours ends poll early, so the rest is waited for.
        if (latch_is_set(read_descriptor_, left.count() > 0 ? static_cast<int>(left.count()) : 0)) {
            return true;
        }
        if (left.count() <= 0) {
            return false;
        }
    }
}

} // namespace faultline::client
