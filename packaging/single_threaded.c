/* glibc has it since 2.32, and gcc's C++ library reads it: 0 is "count references atomically". */
char __libc_single_threaded = 0;
