/* A disk that can fail: preloaded into a process, it stands between it and the system's calls on files under one folder.
 *
 * What fails is said in a small file that both sides have mapped, so a test turns faults on and off while the process
 * runs. A failing fsync takes back what was written since the last good one: the system may have dropped it already.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct control {
    int32_t write_errno; /* what writes fail with; 0: they do not */
    int32_t open_errno;  /* what opening for writing fails with */
    int32_t sync_errno;  /* what fsync and fdatasync fail with */
    int32_t delay_us;    /* how long each of them takes */
    int32_t spared;      /* so many calls still succeed */
    int32_t failed;      /* how many did not */
};

static struct control *said;
static const char *folder;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

struct written { /* what stood there before a write that is not on disk yet */
    struct written *next;
    ino_t inode;
    off_t at;
    size_t size;
    char old[];
};
static struct written *unsynced;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTY_CONTROL");
    folder = getenv("FAULTY_FOLDER");
    int fd = file ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0 || !folder) return;
    void *at = mmap(NULL, sizeof *said, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    said = at == MAP_FAILED ? NULL : at;
}

static int ours(int fd) {
    char link[64], path[4096];
    if (!said) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int strikes(int32_t number) {
    if (!number) return 0;
    if (__sync_fetch_and_sub(&said->spared, 1) > 0) return 0;
    __sync_fetch_and_add(&said->failed, 1);
    errno = number;
    return 1;
}

#define REAL(type, name, ...)                     \
    static type (*real)(__VA_ARGS__);             \
    if (!real) real = dlsym(RTLD_NEXT, name)

static ssize_t really_pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(fd, data, size, at);
}

static void remember(int fd, size_t size, off_t at) {
    struct stat st;
    if (fstat(fd, &st)) return;
    struct written *one = calloc(1, sizeof *one + size);
    /* By this very descriptor: closing another one of the same file would drop the locks that SQLite holds on it. */
    if (pread(fd, one->old, size, at) < 0) memset(one->old, 0, size);
    one->inode = st.st_ino, one->at = at, one->size = size;
    pthread_mutex_lock(&guard);
    one->next = unsynced, unsynced = one;
    pthread_mutex_unlock(&guard);
}

static void synced(int fd, int well) {
    struct stat st;
    if (fstat(fd, &st)) return;
    pthread_mutex_lock(&guard);
    for (struct written **place = &unsynced; *place;) { /* newest first, so the oldest content stands at the end */
        struct written *one = *place;
        if (one->inode != st.st_ino) {
            place = &one->next;
            continue;
        }
        if (!well && really_pwrite(fd, one->old, one->size, one->at) < 0) abort();
        *place = one->next;
        free(one);
    }
    pthread_mutex_unlock(&guard);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    if (!ours(fd)) return really_pwrite(fd, data, size, at);
    if (strikes(said->write_errno)) return -1;
    remember(fd, size, at);
    return really_pwrite(fd, data, size, at);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return said && said->write_errno && ours(fd) && strikes(said->write_errno) ? -1 : real(fd, data, size);
}

int ftruncate64(int fd, off_t size) {
    REAL(int, "ftruncate64", int, off_t);
    return said && said->write_errno == EROFS && ours(fd) && strikes(EROFS) ? -1 : real(fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int sync_with(int (*real)(int), int fd) {
    if (!ours(fd)) return real(fd);
    if (said->delay_us) usleep(said->delay_us);
    if (strikes(said->sync_errno)) {
        int kept = errno;
        synced(fd, 0);
        errno = kept;
        return -1;
    }
    synced(fd, 1);
    return 0; /* a test does not cut the power: nothing has to reach the real disk */
}
int fsync(int fd) {
    REAL(int, "fsync", int);
    return sync_with(real, fd);
}
int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return sync_with(real, fd);
}

static int refused(const char *path, int flags) {
    if (!said || !said->open_errno || !((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)) return 0;
    char full[4096];
    if (path[0] != '/') {
        if (!getcwd(full, sizeof full)) return 0;
    } else {
        snprintf(full, sizeof full, "%s", path);
    }
    /* A full disk opens what is there; one that may not be written opens nothing for writing. */
    if (strncmp(full, folder, strlen(folder)) || (said->open_errno == ENOSPC && access(path, F_OK) == 0)) return 0;
    return strikes(said->open_errno);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    REAL(int, "open64", const char *, int, ...);
    return refused(path, flags) ? -1 : real(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    REAL(int, "open64", const char *, int, ...);
    return refused(path, flags) ? -1 : real(path, flags, mode);
}
