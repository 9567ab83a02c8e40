/* A library to be preloaded: the n-th system call that changes files below one directory fails, writes less, or kills.
 *
 * The kit shares a file with the process: what to fail, and what became of it (struct control, read by preload.py).
 * DVIDKIT_FAILING_CONTROL names it, DVIDKIT_FAILING_FOLDER the directory, as a real path. A call that fails or kills has no effect.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
    _Atomic int64_t at;     /* the call to fail, from 1; 0 for none */
    int64_t shorter;        /* 0: EIO; 1: a write writes half, other calls are left alone; 2: the process is killed */
    _Atomic int64_t calls;  /* so many were made */
    _Atomic int64_t fired;  /* 1 once the call has failed */
    int64_t thread;         /* whose call it was */
    _Atomic int64_t syncs;  /* so many of the calls waited for a file's bytes to be on the disk */
    char what[32];          /* the call */
    char path[256];         /* the end of its file's path */
    _Atomic int64_t writes; /* so many of the calls wrote */
};

static struct control *control;
static char folder[4096];
static size_t folder_length;

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("DVIDKIT_FAILING_CONTROL"), *below = getenv("DVIDKIT_FAILING_FOLDER");
    if (!file || !below || strlen(below) >= sizeof folder)
        return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (shared == MAP_FAILED)
        return;
    strcpy(folder, below);
    folder_length = strlen(folder);
    control = shared;
}

static int is_below(const char *path)
{
    return control && path && !strncmp(path, folder, folder_length) && path[folder_length] == '/';
}

/* Whether this call, on a file below the directory, is the one to fail. */
static int fires(const char *what, const char *path, int writes)
{
    int64_t number = atomic_fetch_add(&control->calls, 1) + 1;
    if (writes)
        atomic_fetch_add(&control->writes, 1);
    if (number != atomic_load(&control->at) || (control->shorter == 1 && !writes))
        return 0;
    size_t length = strlen(path), most = sizeof control->path - 1;
    strcpy(control->what, what);
    strcpy(control->path, length > most ? path + length - most : path);
    control->thread = (int64_t)syscall(SYS_gettid);
    atomic_store(&control->fired, 1);
    if (control->shorter == 2)
        syscall(SYS_kill, getpid(), SIGKILL);
    return 1;
}

static int fails(const char *what, const char *path, int writes)
{
    return is_below(path) && fires(what, path, writes);
}

static int fails_at(const char *what, int fd, int writes)
{
    if (!control)
        return 0;
    struct stat file;
    int waits = writes ? fcntl(fd, F_GETFL) & (O_SYNC | O_DSYNC)
                       : strstr(what, "sync") && !fstat(fd, &file) && S_ISREG(file.st_mode);
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    if (waits && is_below(path))
        atomic_fetch_add(&control->syncs, 1);
    return fails(what, path, writes);
}

static int failed(void)
{
    errno = EIO;
    return -1;
}

#define REAL(name, type, ...)                                   \
    static type (*real)(__VA_ARGS__);                           \
    if (!real)                                                  \
        real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define OPEN(name)                                              \
    int name(const char *path, int flags, ...)                  \
    {                                                           \
        REAL(name, int, const char *, int, ...);                \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0; \
        va_end(rest);                                           \
        if (fails("open", path, 0))                             \
            return failed();                                    \
        return real(path, flags, mode);                         \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                            \
    int name(int at, const char *path, int flags, ...)          \
    {                                                           \
        REAL(name, int, int, const char *, int, ...);           \
        va_list rest;                                           \
        va_start(rest, flags);                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(rest, int) : 0; \
        va_end(rest);                                           \
        if (fails("open", path, 0))                             \
            return failed();                                    \
        return real(at, path, flags, mode);                     \
    }
OPENAT(openat)
OPENAT(openat64)

#define SHORT(n) ((n) > 1 ? (n) / 2 : (n))

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write, ssize_t, int, const void *, size_t);
    if (fails_at("write", fd, 1)) {
        if (!control->shorter)
            return failed();
        size = SHORT(size);
    }
    return real(fd, data, size);
}

#define PWRITE(name, offset)                                    \
    ssize_t name(int fd, const void *data, size_t size, offset at) \
    {                                                           \
        REAL(name, ssize_t, int, const void *, size_t, offset); \
        if (fails_at("pwrite", fd, 1)) {                        \
            if (!control->shorter)                              \
                return failed();                                \
            size = SHORT(size);                                 \
        }                                                       \
        return real(fd, data, size, at);                        \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

/* A short vector is its first half: the first piece at least, so of one piece all of it. */
ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    REAL(writev, ssize_t, int, const struct iovec *, int);
    if (fails_at("writev", fd, 1)) {
        if (!control->shorter)
            return failed();
        count = SHORT(count);
    }
    return real(fd, pieces, count);
}

#define PWRITEV(name, offset)                                   \
    ssize_t name(int fd, const struct iovec *pieces, int count, offset at) \
    {                                                           \
        REAL(name, ssize_t, int, const struct iovec *, int, offset); \
        if (fails_at("pwritev", fd, 1)) {                       \
            if (!control->shorter)                              \
                return failed();                                \
            count = SHORT(count);                               \
        }                                                       \
        return real(fd, pieces, count, at);                     \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

/* What Python's os.pwritev calls. */
#define PWRITEV2(name, offset)                                  \
    ssize_t name(int fd, const struct iovec *pieces, int count, offset at, int flags) \
    {                                                           \
        REAL(name, ssize_t, int, const struct iovec *, int, offset, int); \
        if (fails_at("pwritev", fd, 1)) {                       \
            if (!control->shorter)                              \
                return failed();                                \
            count = SHORT(count);                               \
        }                                                       \
        return real(fd, pieces, count, at, flags);              \
    }
PWRITEV2(pwritev2, off_t)
PWRITEV2(pwritev64v2, off64_t)

#define OF_FILE(name)                                           \
    int name(int fd)                                            \
    {                                                           \
        REAL(name, int, int);                                   \
        return fails_at(#name, fd, 0) ? failed() : real(fd);    \
    }
OF_FILE(fsync)
OF_FILE(fdatasync)

#define TRUNCATE(name, offset)                                  \
    int name(int fd, offset length)                             \
    {                                                           \
        REAL(name, int, int, offset);                           \
        return fails_at("ftruncate", fd, 0) ? failed() : real(fd, length); \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *old, const char *new)
{
    REAL(rename, int, const char *, const char *);
    return fails("rename", new, 0) ? failed() : real(old, new);
}

int unlink(const char *path)
{
    REAL(unlink, int, const char *);
    return fails("unlink", path, 0) ? failed() : real(path);
}

int msync(void *address, size_t length, int flags)
{
    REAL(msync, int, void *, size_t, int);
    if (control)
        atomic_fetch_add(&control->syncs, 1);
    return control && fires("msync", "a map", 0) ? failed() : real(address, length, flags);
}
