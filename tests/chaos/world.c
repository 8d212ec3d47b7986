/* Lies to one process about the time, and makes its disk fail, while it runs: preloaded (LD_PRELOAD) by crash tests, told what to do through a page of memory
   that it shares with them. CHAOS_WORLD names a folder: a process keeps its page there under its number, and all that it forks share it. See world.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { HEALTHY, FULL, FAILING, SHORT, SYNC_FAILS };

struct page {
    volatile int64_t ahead;   /* seconds that the wall clock is ahead */
    volatile int64_t disk;    /* what is wrong with it */
    volatile int64_t refused; /* writes that were refused or cut short, and syncs that failed */
};

static struct page healthy, *page = &healthy;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_gettimeofday)(struct timeval *, void *);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_posix_fallocate)(int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_gettimeofday = dlsym(RTLD_NEXT, "gettimeofday");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_posix_fallocate = dlsym(RTLD_NEXT, "posix_fallocate");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *folder = getenv("CHAOS_WORLD");
    char name[4096];
    if (!folder || snprintf(name, sizeof name, "%s/%d", folder, (int)getpid()) >= (int)sizeof name) return;
    int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return;
    if (ftruncate(file, sizeof healthy) == 0) {
        void *shared = mmap(NULL, sizeof healthy, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (shared != MAP_FAILED) page = shared;
    }
    close(file);
}

/* Whether the disk has something against a file: what is said to people and to other processes is none of its business. */
static int struck(int file) {
    struct stat found;
    if (page->disk == HEALTHY || file <= 2 || fstat(file, &found) || !S_ISREG(found.st_mode)) return 0;
    return (int)page->disk;
}

static int refuse(int error) {
    __sync_fetch_and_add(&page->refused, 1);
    errno = error;
    return -1;
}

static ssize_t write_badly(int how, int file, const void *data, size_t size, off_t at, int positioned) {
    if (how == FULL) return refuse(ENOSPC);
    if (how == FAILING) return refuse(EIO);
    if (how == SHORT) {
        if (size < 2) return refuse(ENOSPC);
        __sync_fetch_and_add(&page->refused, 1);
        size /= 2;
    }
    return positioned ? real_pwrite(file, data, size, at) : real_write(file, data, size);
}

ssize_t write(int file, const void *data, size_t size) {
    int how = struck(file);
    return how ? write_badly(how, file, data, size, 0, 0) : real_write(file, data, size);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
    int how = struck(file);
    return how ? write_badly(how, file, data, size, at, 1) : real_pwrite(file, data, size, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off_t at) { return pwrite(file, data, size, at); }

ssize_t pwritev(int file, const struct iovec *pieces, int count, off_t at) {
    return struck(file) && count > 0 ? pwrite(file, pieces->iov_base, pieces->iov_len, at) : real_pwritev(file, pieces, count, at);
}

ssize_t pwritev64(int file, const struct iovec *pieces, int count, off_t at) { return pwritev(file, pieces, count, at); }

int posix_fallocate(int file, off_t at, off_t size) {
    int how = struck(file);
    if (how != FULL && how != SHORT) return real_posix_fallocate(file, at, size);
    refuse(ENOSPC);
    return ENOSPC;
}

int posix_fallocate64(int file, off_t at, off_t size) { return posix_fallocate(file, at, size); }

int fsync(int file) {
    int how = struck(file);
    return how == SYNC_FAILS || how == FAILING ? refuse(EIO) : real_fsync(file);
}

int fdatasync(int file) {
    int how = struck(file);
    return how == SYNC_FAILS || how == FAILING ? refuse(EIO) : real_fdatasync(file);
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int told = real_clock_gettime(which, now);
    if (told == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += page->ahead;
    return told;
}

int gettimeofday(struct timeval *now, void *zone) {
    int told = real_gettimeofday(now, zone);
    if (told == 0) now->tv_sec += page->ahead;
    return told;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
