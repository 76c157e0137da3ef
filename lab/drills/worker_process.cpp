// Implements worker processes. A signal that hits a process which has already ended proves nothing,
// so every signal is followed by waiting for the state that it must cause.
#include "worker_process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

extern char **environ;

namespace faultline::lab {

namespace {

[[noreturn]] void fail(const std::string &what) {
    throw std::system_error(errno, std::generic_category(), what);
}

struct Pipe {
    FileDescriptor read_end;
    FileDescriptor write_end;
};

// Closed on exec: a worker must not keep another worker's pipes open.
Pipe open_pipe(int flags) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC | flags) != 0)
        fail("could not open a pipe");
    return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

pid_t spawn(const std::string &program, const std::vector<std::string> &arguments, int input,
            int output) {
    std::vector<char *> argument_list{const_cast<char *>(program.c_str())};
    for (const std::string &argument : arguments)
        argument_list.push_back(const_cast<char *>(argument.c_str()));
    argument_list.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    pid_t pid = -1;
    errno = posix_spawn(&pid, program.c_str(), &actions, nullptr, argument_list.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (errno != 0)
        fail(fmt::format("could not start {}", program));
    return pid;
}

int wait_for(pid_t pid, int options) {
    int status = 0;
    while (waitpid(pid, &status, options) < 0)
        if (errno != EINTR)
            fail(fmt::format("could not wait for process {}", pid));
    return status;
}

} // namespace

FileDescriptor::FileDescriptor(FileDescriptor &&other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileDescriptor &FileDescriptor::operator=(FileDescriptor &&other) noexcept {
    if (this != &other) {
        close();
        descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
}

FileDescriptor::~FileDescriptor() { close(); }

void FileDescriptor::close() {
    if (descriptor_ >= 0)
        ::close(std::exchange(descriptor_, -1));
}

WorkerProcess::WorkerProcess(std::string name, const std::string &program,
                             const std::vector<std::string> &arguments)
    : name_(std::move(name)) {
    Pipe input = open_pipe(0);
    Pipe output = open_pipe(0);
    child_.pid = spawn(program, arguments, input.read_end.get(), output.write_end.get());
    commands_ = std::move(input.write_end);
    reports_ = std::move(output.read_end);
    if (fcntl(reports_.get(), F_SETFL, O_NONBLOCK) != 0)
        fail("could not make a pipe non-blocking");
}

WorkerProcess::~WorkerProcess() {
    // Only a drill that is being abandoned gets here with a live worker.
    if (child_.pid > 0) {
        kill(child_.pid, SIGKILL);
        waitpid(child_.pid, nullptr, 0);
    }
}

bool WorkerProcess::is_alive() const {
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(child_.pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        fail(fmt::format("could not look at {}", name_));
    return info.si_pid == 0;
}

bool WorkerProcess::read_some() {
    std::array<char, 4096> buffer{};
    ssize_t length = 0;
    while ((length = read(reports_.get(), buffer.data(), buffer.size())) > 0)
        unread_.append(buffer.data(), static_cast<std::size_t>(length));
    if (length < 0 && errno != EAGAIN && errno != EINTR)
        fail(fmt::format("could not read from {}", name_));
    return length != 0;
}

std::vector<Report> WorkerProcess::take_reports() {
    std::vector<Report> reports;
    std::size_t line_end = 0;
    while ((line_end = unread_.find('\n')) != std::string::npos) {
        reports.push_back(parse(unread_.substr(0, line_end)));
        is_idle_ = reports.back().moment == Moment::idle;
        unread_.erase(0, line_end + 1);
    }
    return reports;
}

std::vector<Report> WorkerProcess::read_reports() {
    if (!read_some())
        throw std::runtime_error(fmt::format("{} ended by itself", name_));
    return take_reports();
}

Report WorkerProcess::parse(const std::string &line) const {
    std::istringstream words(line);
    std::string moment;
    Report report{.moment = Moment::idle, .count = 0, .stale_count = 0};
    words >> moment;
    if (moment == "idle")
        return report;
    words >> report.count;
    if (moment == "claimed")
        report.moment = Moment::claimed;
    else if (moment == "held")
        report.moment = Moment::held;
    else if (moment == "committing")
        report.moment = Moment::committing;
    else if (moment == "completed" && words >> report.stale_count)
        report.moment = Moment::completed;
    else
        words.setstate(std::ios::failbit);
    if (!words)
        throw std::runtime_error(fmt::format("{} reported \"{}\"", name_, line));
    return report;
}

void WorkerProcess::kill_hard() {
    if (!is_alive())
        throw std::runtime_error(fmt::format("{} was to be killed, but had ended", name_));
    if (kill(child_.pid, SIGKILL) != 0)
        fail(fmt::format("could not kill {}", name_));
    const int status = wait_for(std::exchange(child_.pid, -1), 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        throw std::runtime_error(fmt::format("{} did not die of the kill", name_));
}

void WorkerProcess::pause() {
    if (kill(child_.pid, SIGSTOP) != 0)
        fail(fmt::format("could not pause {}", name_));
    const int status = wait_for(child_.pid, WUNTRACED);
    if (!WIFSTOPPED(status)) {
        child_.pid = -1;
        throw std::runtime_error(fmt::format("{} was to be paused, but had ended", name_));
    }
}

void WorkerProcess::resume() {
    if (kill(child_.pid, SIGCONT) != 0)
        fail(fmt::format("could not resume {}", name_));
}

std::vector<Report> WorkerProcess::stop() {
    commands_.close();
    const int status = wait_for(std::exchange(child_.pid, -1), 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error(fmt::format("{} did not stop cleanly", name_));
    read_some();
    return take_reports();
}

} // namespace faultline::lab
