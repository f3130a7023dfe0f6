/* Which variant of kernel.c is the fastest that this processor can do. */
#if defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#ifdef _WIN32
__declspec(dllexport)
#endif
const char *best_variant(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return "vnni";
    if (__builtin_cpu_supports("avx2")) return "avx2";
#elif defined(__APPLE__) && defined(__aarch64__)
    return "dot"; /* every one of them has it */
#elif defined(__linux__) && defined(__aarch64__)
    if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) return "dot";
#endif
    return "plain";
}
