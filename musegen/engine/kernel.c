/* The arithmetic of one decoder-only transformer on a CPU: products of 8-bit integers, the rest in single precision.
 *
 * Every sum of floats runs in an order that is written down here, and every sum of integers is exact, so that the
 * same numbers come out whatever the vector width, the number of threads, or the tokens that are read beside a token;
 * musegen/engine/reference.py has the same arithmetic in NumPy, and a test holds the two together bit by bit. That asks
 * for a compiler that neither fuses nor reorders: -ffp-contract=off, and nothing like -ffast-math.
 *
 * Matrices of 8-bit weights are packed in blocks of 64 outputs: b[output / 64][input / 4][output % 64][input % 4], so
 * that they are read from the first byte to the last.
 * The keys of a cache are such a matrix, whose outputs are the tokens; so are its values, whose inputs are the tokens.
 *
 * Letters: C width, H query heads, K key/value heads, D width of a head, F inner width, V ids, T tokens in a call.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>
#endif

#if defined(__AVX512VNNI__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

#ifndef VARIANT
#define VARIANT plain
#endif
#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(f) JOIN(f, VARIANT)
#ifdef _WIN32
#define PUBLIC __declspec(dllexport)
#else
#define PUBLIC
#endif

#if FLT_EVAL_METHOD != 0
#error "floats must be rounded to single precision after every operation"
#endif

#define BLOCK 64   /* outputs that are packed together */
#define QUAD 4     /* inputs that are packed together */
#define CHUNK 32   /* tokens that go through the layers together */
#define LEVELS 127 /* the largest 8-bit magnitude */
#define FINE 16383 /* the largest weight of a token in attention: two 7-bit digits */

#define ROUND_UP(n, m) (((n) + (m) - 1) / (m) * (m))

typedef struct {
    int32_t n_in, n_out;   /* multiples of QUAD and BLOCK */
    const int8_t *packed;  /* as the head of this file says */
    const int32_t *sums;   /* (n_out,) of each output's weights */
    const float *scales;   /* (n_out,) what a unit of each output's weights is worth */
} Matrix;

typedef struct {
    Matrix qkv, out, feed_in, feed_out;
    const float *attention_norm, *feed_norm; /* (C,) */
} Layer;

typedef struct {
    int32_t width, n_layer, n_head, n_kv, d_head, d_ff, n_ids, n_attributes, n_index, n_musical;
    const Layer *layers;
    Matrix head;
    const float *norm;        /* (C,) */
    const float *table;       /* (rows, C): of ids, then of attributes */
    const int32_t *offsets;   /* (A,) the first row of each attribute */
    const int32_t *sizes;     /* (A,) how many rows it has */
    const double *index_turns;   /* (n_index,) turns a token */
    const double *musical_turns; /* (n_musical,) turns a bar */
} Model;

/* Of slot s, layer l and key/value head k the matrix number (s * n_layer + l) * n_kv + k. */
typedef struct {
    int32_t capacity;       /* tokens of a slot, a multiple of BLOCK */
    int32_t n_slots;
    int8_t *keys, *values;  /* capacity * D each */
    int32_t *key_sums;      /* (capacity,) */
    float *key_scales, *value_scales; /* (capacity,) */
} Cache;

/* ---- integers ---------------------------------------------------------------------------------------------- */

/* c[m][n] = sum over k of a[m][k] * b[n][k] for `rows` rows; `ld` are the distances of rows of a and c. */
#if defined(__AVX512VNNI__)

/* The instruction is written out: gcc 12 copies every sum before and after its intrinsic, and runs out of registers. */
#define TILE(MR)                                                                                                      \
    static void tile_##MR(const int8_t *a, int lda, int quads, const int8_t *b, const int32_t *sums, int32_t *c,       \
                          int ldc) {                                                                                  \
        __m512i acc[MR][4], w[4];                                                                                     \
        _Pragma("GCC unroll 6") for (int m = 0; m < MR; m++)                                                          \
            _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++) acc[m][n] = _mm512_setzero_si512();                   \
        for (int k = 0; k < quads; k++) {                                                                             \
            _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++)                                                       \
                w[n] = _mm512_loadu_si512(b + ((size_t)k * 4 + n) * 64);                                              \
            _Pragma("GCC unroll 6") for (int m = 0; m < MR; m++) {                                                    \
                int32_t four;                                                                                         \
                memcpy(&four, a + (size_t)m * lda + 4 * k, 4);                                                        \
                const __m512i x = _mm512_set1_epi32(four);                                                            \
                _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++)                                                   \
                    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc[m][n]) : "v"(x), "v"(w[n]));                             \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 4") for (int n = 0; n < 4; n++) {                                                         \
            __m512i over = _mm512_setzero_si512();                                                                    \
            if (sums) over = _mm512_slli_epi32(_mm512_loadu_si512(sums + 16 * n), 7);                                 \
            _Pragma("GCC unroll 6") for (int m = 0; m < MR; m++)                                                      \
                _mm512_storeu_si512(c + (size_t)m * ldc + 16 * n, _mm512_sub_epi32(acc[m][n], over));                 \
        }                                                                                                             \
    }
TILE(1) TILE(2) TILE(4) TILE(6)

/* The instruction wants one side without a sign: 128 is added to `a` where it is not positive already, and 128 times the
 * sum of each output's weights taken off again. */
static void products(const int8_t *a, int lda, int rows, int quads, const int8_t *b, const int32_t *sums, int blocks,
                     int32_t *c, int ldc, int positive) {
    int8_t raised[positive ? 1 : rows * quads * QUAD];
    if (!positive) {
        for (int m = 0; m < rows; m++)
            for (int k = 0; k < quads * QUAD; k++) raised[m * quads * QUAD + k] = a[(size_t)m * lda + k] ^ (int8_t)0x80;
        a = raised, lda = quads * QUAD;
    }
    for (int n = 0; n < blocks; n++, b += (size_t)quads * QUAD * BLOCK, c += BLOCK) {
        const int32_t *over = positive ? NULL : sums + BLOCK * n;
        int m = 0;
        for (; rows - m >= 6; m += 6) tile_6(a + (size_t)m * lda, lda, quads, b, over, c + (size_t)m * ldc, ldc);
        for (; rows - m >= 4; m += 4) tile_4(a + (size_t)m * lda, lda, quads, b, over, c + (size_t)m * ldc, ldc);
        for (; rows - m >= 2; m += 2) tile_2(a + (size_t)m * lda, lda, quads, b, over, c + (size_t)m * ldc, ldc);
        for (; rows - m >= 1; m += 1) tile_1(a + (size_t)m * lda, lda, quads, b, over, c + (size_t)m * ldc, ldc);
    }
}

#else

/* 16 outputs of a block of 64. */
static inline void sixteen(const int8_t *a, int quads, const int8_t *b, int32_t *c) {
#if defined(__AVX2__)
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
    const __m256i ones = _mm256_set1_epi16(1);
    for (int k = 0; k < quads; k++) {
        int32_t four;
        memcpy(&four, a + 4 * k, 4);
        const __m256i x = _mm256_set1_epi32(four), size = _mm256_abs_epi8(x);
        const __m256i w0 = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)(b + 256 * (size_t)k)), x);
        const __m256i w1 = _mm256_sign_epi8(_mm256_loadu_si256((const __m256i *)(b + 256 * (size_t)k + 32)), x);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_maddubs_epi16(size, w0), ones));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_maddubs_epi16(size, w1), ones));
    }
    _mm256_storeu_si256((__m256i *)c, low);
    _mm256_storeu_si256((__m256i *)(c + 8), high);
#elif defined(__ARM_FEATURE_DOTPROD)
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (int k = 0; k < quads; k++) {
        int32_t four;
        memcpy(&four, a + 4 * k, 4);
        const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(four));
        for (int i = 0; i < 4; i++) sum[i] = vdotq_s32(sum[i], vld1q_s8(b + 256 * (size_t)k + 16 * i), x);
    }
    for (int i = 0; i < 4; i++) vst1q_s32(c + 4 * i, sum[i]);
#else
    int32_t sum[16] = {0};
    for (int k = 0; k < quads; k++)
        for (int n = 0; n < 16; n++)
            for (int i = 0; i < QUAD; i++) sum[n] += a[4 * k + i] * b[256 * (size_t)k + 4 * n + i];
    memcpy(c, sum, sizeof sum);
#endif
}

static void products(const int8_t *a, int lda, int rows, int quads, const int8_t *b, const int32_t *sums, int blocks,
                     int32_t *c, int ldc, int positive) {
    (void)sums, (void)positive;
    for (int n = 0; n < 4 * blocks; n++)
        for (int m = 0; m < rows; m++)
            sixteen(a + (size_t)m * lda, quads, b + (size_t)(n / 4) * quads * 256 + n % 4 * 64, c + (size_t)m * ldc + 16 * n);
}

#endif

/* ---- single precision -------------------------------------------------------------------------------------- */

static inline float largest(const float *x, size_t n) { /* of the magnitudes */
    int32_t best = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7fffffff; /* magnitudes are in the order of their bits */
        best = bits > best ? bits : best;
    }
    float value;
    memcpy(&value, &best, 4);
    return value;
}

static inline int32_t ordered(int32_t bits) { return bits ^ (bits >> 31 & 0x7fffffff); } /* as floats are */

/* The nearest integer, halves to the even one, of |x| < 2^22. */
static inline float nearest(float x) {
    return (x + 12582912.0f) - 12582912.0f; /* 1.5 * 2^23, behind which no fraction has room */
}

/* The same as an integer: what the sum holds behind its exponent. */
static inline int32_t integer(float x) {
    const float sum = x + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &sum, 4);
    return bits - 0x4b400000;
}

/* x as 8-bit integers, and what a unit of them is worth. */
static float quantize(const float *x, size_t n, int8_t *q) {
    const float most = largest(x, n);
    if (!(most > 1e-30f)) {
        memset(q, 0, n);
        return 0.0f;
    }
    const float by = (float)LEVELS / most;
    for (size_t i = 0; i < n; i++) q[i] = (int8_t)integer(x[i] * by);
    return most / (float)LEVELS;
}

/* The sum of x, by adding its halves while it has an even length; x is used up. */
static float total(float *x, int n) {
    while (n % 2 == 0) {
        n /= 2;
        for (int i = 0; i < n; i++) x[i] = x[i] + x[i + n];
    }
    float sum = x[0];
    for (int i = 1; i < n; i++) sum = sum + x[i];
    return sum;
}

static void normalize(const float *x, const float *weight, int n, float *y, float *scratch) {
    memcpy(scratch, x, n * sizeof(float));
    const float mean = total(scratch, n) / (float)n;
    for (int i = 0; i < n; i++) y[i] = x[i] - mean;
    for (int i = 0; i < n; i++) scratch[i] = y[i] * y[i];
    const float by = 1.0f / sqrtf(total(scratch, n) / (float)n + 1e-5f);
    for (int i = 0; i < n; i++) y[i] = y[i] * by * weight[i];
}

/* 2 to the x, for x <= 0: a polynomial for the fraction, and the rest into the exponent. */
static inline float power(float x) {
    x = x > -126.0f ? x : -126.0f;
    const float whole = nearest(x), f = x - whole;
    float p = 1.5403530393381610e-4f;
    p = p * f + 1.3333558146428443e-3f;
    p = p * f + 9.6181291076284772e-3f;
    p = p * f + 5.5504108664821580e-2f;
    p = p * f + 2.4022650695910071e-1f;
    p = p * f + 6.9314718055994531e-1f;
    p = p * f + 1.0f;
    int32_t bits;
    memcpy(&bits, &p, 4);
    bits += integer(x) * (1 << 23);
    memcpy(&p, &bits, 4);
    return p;
}

/* x times the normal distribution at x; the error function by Abramowitz and Stegun, 7.1.26. */
static void gelu(float *x, int n) {
    for (int i = 0; i < n; i++) {
        float z = x[i] * 0.70710678118654752f;
        z = z < 0.0f ? -z : z;
        const float t = 1.0f / (1.0f + 0.3275911f * z);
        float p = 1.061405429f;
        p = p * t - 1.453152027f;
        p = p * t + 1.421413741f;
        p = p * t - 0.284496736f;
        p = p * t + 0.254829592f;
        const float tail = 0.5f * (p * t * power(z * z * -1.44269504088896341f)); /* beyond |x| */
        x[i] = x[i] * (x[i] < 0.0f ? tail : 1.0f - tail);
    }
}

/* Cosine and sine of a number of turns. */
static inline void turned(double turns, float *cosine, float *sine) {
    const double r = 4.0 * (turns - floor(turns)); /* quarters, [0, 4) */
    const double quarter = floor(r + 0.5);
    const double y = (r - quarter) * 1.5707963267948966, z = y * y;
    const double s = y * (1.0 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880)))));
    const double c = 1.0 + z * (-1.0 / 2 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800)))));
    const int q = (int)quarter & 3;
    *cosine = (float)(q == 0 ? c : q == 1 ? -s : q == 2 ? -c : s);
    *sine = (float)(q == 0 ? s : q == 1 ? c : q == 2 ? -s : -c);
}

/* ---- threads ----------------------------------------------------------------------------------------------- */

/* All threads run the same function on the same job, each on its share, and meet at barriers in between. */
typedef struct Work Work;
static void part(Work *work, int me);

#ifdef _WIN32
typedef struct {
    int n;
} Team;
static void meet(Team *team) { (void)team; }
static int team_open(Team *team, Work *work, int n) {
    (void)work, (void)n;
    team->n = 1;
    return 0;
}
static void team_close(Team *team) { (void)team; }
static int able(Team *team) { return team->n; }
static void together(Team *team, Work *work) {
    (void)team;
    part(work, 0);
}
#else
#define SPINS 20000 /* looks at a flag before a thread lets others have the core, or goes to sleep */

typedef struct {
    int n;
    atomic_int arrived, round; /* of the barrier */
    atomic_int job, asleep;    /* the number of the job that is asked for, -1 to end; threads that sleep */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t threads[64];
    pid_t process;
    int n_active; /* of this job */
} Team;

typedef struct {
    Team *team;
    Work *work;
    int me;
} Member;

static inline void pause_a_moment(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void meet(Team *team) {
    if (team->n_active == 1) return;
    const int round = atomic_load(&team->round);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == team->n_active) {
        atomic_store(&team->arrived, 0);
        atomic_store(&team->round, round + 1);
        return;
    }
    for (int spin = 0; atomic_load(&team->round) == round; spin++) {
        pause_a_moment();
        if (spin > SPINS) sched_yield();
    }
}

static void *member(void *argument) {
    Member self = *(Member *)argument;
    free(argument);
    Team *team = self.team;
    for (int done = 0;;) {
        for (int spin = 0; atomic_load(&team->job) == done; spin++) {
            pause_a_moment();
            if (spin < SPINS) continue;
            pthread_mutex_lock(&team->lock);
            atomic_fetch_add(&team->asleep, 1);
            while (atomic_load(&team->job) == done) pthread_cond_wait(&team->wake, &team->lock);
            atomic_fetch_sub(&team->asleep, 1);
            pthread_mutex_unlock(&team->lock);
        }
        done = atomic_load(&team->job);
        if (done < 0) return NULL;
        part(self.work, self.me);
        meet(team);
    }
}

static void call(Team *team, int job) {
    atomic_store(&team->job, job);
    if (atomic_load(&team->asleep)) {
        pthread_mutex_lock(&team->lock);
        pthread_cond_broadcast(&team->wake);
        pthread_mutex_unlock(&team->lock);
    }
}

static int team_open(Team *team, Work *work, int n) {
    memset(team, 0, sizeof *team);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->wake, NULL);
    team->process = getpid();
    team->n = 1;
    for (int i = 1; i < n && i < 64; i++) {
        Member *one = malloc(sizeof *one);
        if (!one) return 1;
        *one = (Member){team, work, i};
        if (pthread_create(&team->threads[i], NULL, member, one)) {
            free(one);
            return 1;
        }
        team->n = i + 1;
    }
    return 0;
}

static void team_close(Team *team) {
    if (team->process != getpid()) return;
    call(team, -1);
    for (int i = 1; i < team->n; i++) pthread_join(team->threads[i], NULL);
}

/* How many threads a job has: one in a process that was forked, whose others are gone. */
static int able(Team *team) { return team->n_active = team->process == getpid() ? team->n : 1; }

static void together(Team *team, Work *work) {
    if (team->n_active > 1) call(team, atomic_load(&team->job) + 1);
    part(work, 0);
    meet(team);
}
#endif

/* ---- layers ------------------------------------------------------------------------------------------------ */

/* One thread's memory. */
typedef struct {
    float *scratch, *scores;
    int8_t *q, *weights;
    int32_t *sums;
} Room;

struct Work {
    const Model *model;
    int capacity, n_threads;
    Team team;
    char *memory;
    /* of CHUNK tokens */
    float *x, *y, *big, *cosines, *sines, *scales;
    int8_t *q;
    int32_t *sums;
    Room *rooms;
    /* the call: see forward */
    Cache *cache;
    int n_tokens;
    const int32_t *ids, *attributes, *slots, *places, *wanted;
    float *logits;
};

/* Of n things, those of this thread: from share(n, me, threads) to share(n, me + 1, threads). */
static inline int share(int n, int me, int n_threads) { return (int)((int64_t)n * me / n_threads); }

/* Of the first n outputs of a matrix, those of this thread: whole blocks, from `from` to `to`. */
static inline void outputs(const Matrix *w, int n, int me, int n_threads, int *from, int *to) {
    *from = BLOCK * share(w->n_out / BLOCK, me, n_threads);
    *to = BLOCK * share(w->n_out / BLOCK, me + 1, n_threads);
    *to = *to < n ? *to : n;
}

/* y = x W for rows that are 8-bit already, of which each has its scale: this thread's part of the first n outputs, which
 * is as far as rows of y lie apart; added to y or not. */
static void linear(const Matrix *w, const int8_t *q, const float *scales, int n_rows, int32_t *sums, float *y, int n,
                   int adds, int me, int n_threads) {
    int from, to;
    outputs(w, n, me, n_threads, &from, &to);
    if (from >= to) return;
    products(q, w->n_in, n_rows, w->n_in / QUAD, w->packed + (size_t)from * w->n_in, w->sums + from,
             ROUND_UP(to - from, BLOCK) / BLOCK, sums + from, w->n_out, 0);
    for (int t = 0; t < n_rows; t++) {
        const int32_t *sum = sums + (size_t)t * w->n_out;
        float *row = y + (size_t)t * n;
        if (adds)
            for (int i = from; i < to; i++) row[i] = row[i] + (float)sum[i] * (scales[t] * w->scales[i]);
        else
            for (int i = from; i < to; i++) row[i] = (float)sum[i] * (scales[t] * w->scales[i]);
    }
}

static void rotate(float *head, int half, const float *cosines, const float *sines) {
    for (int i = 0; i < half; i++) {
        const float a = head[i], b = head[half + i];
        head[i] = a * cosines[i] - b * sines[i];
        head[half + i] = b * cosines[i] + a * sines[i];
    }
}

/* Write a key and a value of D into their place. */
static void store(const Model *m, Cache *cache, size_t matrix, int at, const float *key, const float *value, int8_t *q) {
    const int d = m->d_head, quads = ROUND_UP(d, QUAD) / QUAD, capacity = cache->capacity;
    int8_t *keys = cache->keys + matrix * capacity * quads * QUAD;
    int8_t *values = cache->values + matrix * capacity * ROUND_UP(d, BLOCK);
    cache->key_scales[matrix * capacity + at] = quantize(key, d, q);
    int32_t sum = 0;
    for (int i = 0; i < d; i++) sum += q[i];
    cache->key_sums[matrix * capacity + at] = sum;
    for (int i = 0; i < d; i++)
        keys[((size_t)(at / BLOCK) * quads + i / QUAD) * BLOCK * QUAD + at % BLOCK * QUAD + i % QUAD] = q[i];
    cache->value_scales[matrix * capacity + at] = quantize(value, d, q);
    for (int i = 0; i < d; i++)
        values[((size_t)(i / BLOCK) * (capacity / QUAD) + at / QUAD) * BLOCK * QUAD + i % BLOCK * QUAD + at % QUAD] = q[i];
}

/* The weights of the first `length` tokens for one head, from its products with their keys, as two 7-bit digits; what a
 * unit of the weights is worth. */
static float weigh(const int32_t *dots, float scale, const float *key_scales, const float *value_scales, int length,
                   int wide, float *s, int8_t *coarse, int8_t *fine) {
    int32_t best = INT32_MIN, sum = 0, top_bits = 0; /* the sum in units of 2^-19: exact */
    for (int j = 0; j < length; j++) {
        s[j] = (float)dots[j] * (scale * key_scales[j]);
        int32_t bits;
        memcpy(&bits, s + j, 4);
        bits = ordered(bits);
        best = bits > best ? bits : best;
    }
    best = ordered(best);
    float most, top;
    memcpy(&most, &best, 4);
    for (int j = 0; j < length; j++) {
        const float weight = power(s[j] - most);
        sum += integer(weight * 524288.0f);
        s[j] = weight * value_scales[j];
        int32_t bits;
        memcpy(&bits, s + j, 4);
        bits &= 0x7fffffff;
        top_bits = bits > top_bits ? bits : top_bits;
    }
    memcpy(&top, &top_bits, 4);
    const float by = top > 1e-30f ? (float)FINE / top : 0.0f;
    for (int j = 0; j < length; j++) {
        const int32_t w = integer(s[j] * by);
        coarse[j] = (int8_t)(w >> 7);
        fine[j] = (int8_t)(w & 127);
    }
    for (int j = length; j < wide; j++) coarse[j] = fine[j] = 0;
    s[0] = (float)sum * (1.0f / 524288.0f);
    return top / (float)FINE;
}

/* What some heads of a group read from the first `length` tokens: (heads, D) queries -> (heads, D). */
static void attend(const Model *m, const Cache *cache, size_t matrix, int length, int n_heads, const float *queries,
                   float *mixed, Room *room) {
    const int d = m->d_head, quads = ROUND_UP(d, QUAD) / QUAD, capacity = cache->capacity;
    const int d_keys = quads * QUAD, d_values = ROUND_UP(d, BLOCK), wide = ROUND_UP(length, BLOCK);
    const float unit = (float)(1.4426950408889634 / sqrt((double)d)); /* scores are logarithms to the base 2 */
    float scales[64], worth[64], whole[64];
    for (int h = 0; h < n_heads; h++) {
        memset(room->q + h * d_keys, 0, d_keys);
        scales[h] = quantize(queries + h * d, d, room->q + h * d_keys) * unit;
    }
    products(room->q, d_keys, n_heads, quads, cache->keys + matrix * capacity * d_keys,
             cache->key_sums + matrix * capacity, wide / BLOCK, room->sums, wide, 0);
    for (int h = 0; h < n_heads; h++) {
        int8_t *coarse = room->weights + (size_t)2 * h * wide;
        worth[h] = weigh(room->sums + (size_t)h * wide, scales[h], cache->key_scales + matrix * capacity,
                         cache->value_scales + matrix * capacity, length, wide, room->scores, coarse, coarse + wide);
        whole[h] = room->scores[0];
    }
    for (int n = 0; n < d_values / BLOCK; n++)
        products(room->weights, wide, 2 * n_heads, wide / QUAD,
                 cache->values + matrix * capacity * d_values + (size_t)n * capacity * BLOCK, NULL, 1,
                 room->sums + BLOCK * n, d_values, 1);
    for (int h = 0; h < n_heads; h++) {
        const int32_t *coarse = room->sums + (size_t)2 * h * d_values, *fine = coarse + d_values;
        for (int i = 0; i < d; i++)
            mixed[h * d + i] = ((float)coarse[i] * 128.0f + (float)fine[i]) * worth[h] / whole[h];
    }
}

/* LayerNorm of this thread's tokens, made 8-bit. */
static void normalize_rows(Work *work, int n_tokens, const float *weight, int me) {
    const int c = work->model->width;
    for (int t = share(n_tokens, me, work->n_threads); t < share(n_tokens, me + 1, work->n_threads); t++) {
        float *y = work->y + (size_t)t * c;
        normalize(work->x + (size_t)t * c, weight, c, y, work->rooms[me].scratch);
        work->scales[t] = quantize(y, c, work->q + (size_t)t * c);
    }
}

static void quantize_rows(Work *work, const float *x, int n_tokens, int n, int me) {
    for (int t = share(n_tokens, me, work->n_threads); t < share(n_tokens, me + 1, work->n_threads); t++)
        work->scales[t] = quantize(x + (size_t)t * n, n, work->q + (size_t)t * n);
}

/* Turn queries and keys, and keep keys and values, of this thread's tokens. */
static void store_rows(Work *work, int l, int from, int n_tokens, int me) {
    const Model *m = work->model;
    const int d = m->d_head, half = d / 2, n_qkv = m->layers[l].qkv.n_out;
    for (int t = share(n_tokens, me, work->n_threads); t < share(n_tokens, me + 1, work->n_threads); t++) {
        float *heads = work->big + (size_t)t * n_qkv;
        const float *cosines = work->cosines + (size_t)t * d, *sines = work->sines + (size_t)t * d;
        for (int h = 0; h < m->n_head + m->n_kv; h++) {
            const int kind = h < m->n_head ? 0 : half;
            rotate(heads + h * d, half, cosines + kind, sines + kind);
        }
        for (int k = 0; k < m->n_kv; k++)
            store(m, work->cache, ((size_t)work->slots[from + t] * m->n_layer + l) * m->n_kv + k,
                  work->places[from + t], heads + (m->n_head + k) * d, heads + (m->n_head + m->n_kv + k) * d,
                  work->rooms[me].q);
    }
}

/* Attention of this thread's part of all tokens' heads. */
static void attend_rows(Work *work, int l, int from, int n_tokens, int me) {
    const Model *m = work->model;
    const int d = m->d_head, n_qkv = m->layers[l].qkv.n_out, group = m->n_head / m->n_kv, n_heads = m->n_head;
    const int last = share(n_tokens * n_heads, me + 1, work->n_threads);
    for (int at = share(n_tokens * n_heads, me, work->n_threads); at < last;) {
        const int t = at / n_heads, h = at % n_heads, k = h / group;
        int n = group - h % group;
        n = n < last - at ? n : last - at;
        attend(m, work->cache, ((size_t)work->slots[from + t] * m->n_layer + l) * m->n_kv + k,
               work->places[from + t] + 1, n, work->big + (size_t)t * n_qkv + h * d,
               work->y + (size_t)t * m->width + h * d, work->rooms + me);
        at += n;
    }
}

static void layer(Work *work, int l, int from, int n_tokens, int me) {
    const Model *m = work->model;
    const Layer *w = m->layers + l;
    Team *team = &work->team;
    const int c = m->width, n_threads = work->n_threads;
    normalize_rows(work, n_tokens, w->attention_norm, me);
    meet(team);
    linear(&w->qkv, work->q, work->scales, n_tokens, work->sums, work->big, w->qkv.n_out, 0, me, n_threads);
    meet(team);
    store_rows(work, l, from, n_tokens, me);
    meet(team);
    attend_rows(work, l, from, n_tokens, me);
    meet(team);
    quantize_rows(work, work->y, n_tokens, c, me);
    meet(team);
    linear(&w->out, work->q, work->scales, n_tokens, work->sums, work->x, c, 1, me, n_threads);
    meet(team);
    normalize_rows(work, n_tokens, w->feed_norm, me);
    meet(team);
    int from_f, to_f;
    linear(&w->feed_in, work->q, work->scales, n_tokens, work->sums, work->big, m->d_ff, 0, me, n_threads);
    outputs(&w->feed_in, m->d_ff, me, n_threads, &from_f, &to_f);
    for (int t = 0; t < n_tokens && from_f < to_f; t++) gelu(work->big + (size_t)t * m->d_ff + from_f, to_f - from_f);
    meet(team);
    quantize_rows(work, work->big, n_tokens, m->d_ff, me);
    meet(team);
    linear(&w->feed_out, work->q, work->scales, n_tokens, work->sums, work->x, c, 1, me, n_threads);
    meet(team);
}

/* The embedding of a token, and the angles by which its queries and keys turn. */
static void embed(Work *work, int t, int at) {
    const Model *m = work->model;
    const int c = m->width, n_columns = m->n_attributes + 2, half = m->d_head / 2;
    const int32_t *row = work->attributes + (size_t)at * n_columns;
    float *x = work->x + (size_t)t * c;
    memcpy(x, m->table + (size_t)work->ids[at] * c, c * sizeof(float));
    for (int a = 0; a < m->n_attributes; a++) {
        const float *more = m->table + (size_t)(m->offsets[a] + row[a]) * c;
        for (int i = 0; i < c; i++) x[i] = x[i] + more[i];
    }
    float *cosines = work->cosines + (size_t)t * 2 * half, *sines = work->sines + (size_t)t * 2 * half;
    for (int i = 0; i < m->n_index; i++) {
        turned(work->places[at] * m->index_turns[i], cosines + i, sines + i);
        cosines[half + i] = cosines[i], sines[half + i] = sines[i];
    }
    if (!m->n_musical) return;
    const double length = row[0] + row[1] > 0 ? row[0] + row[1] : 1, bar = row[n_columns - 2];
    const double query = bar + row[0] / length, key = bar + row[n_columns - 1] / length;
    for (int i = 0; i < m->n_musical; i++) {
        turned(query * m->musical_turns[i], cosines + m->n_index + i, sines + m->n_index + i);
        turned(key * m->musical_turns[i], cosines + half + m->n_index + i, sines + half + m->n_index + i);
    }
}

static void part(Work *work, int me) {
    const Model *m = work->model;
    const int c = m->width, n_threads = work->n_threads;
    for (int from = 0; from < work->n_tokens; from += CHUNK) {
        const int n = work->n_tokens - from < CHUNK ? work->n_tokens - from : CHUNK;
        for (int t = share(n, me, n_threads); t < share(n, me + 1, n_threads); t++) embed(work, t, from + t);
        for (int l = 0; l < m->n_layer; l++) layer(work, l, from, n, me);
        int n_wanted = 0; /* those of which logits are wanted move up, in their order */
        for (int t = 0; t < n; t++) {
            if (work->wanted[from + t] < 0) continue;
            if (me == 0 && n_wanted < t) memmove(work->x + (size_t)n_wanted * c, work->x + (size_t)t * c, c * 4);
            n_wanted++;
        }
        if (!n_wanted) continue;
        meet(&work->team);
        normalize_rows(work, n_wanted, m->norm, me);
        meet(&work->team);
        int first = -1;
        for (int t = 0; t < n && first < 0; t++) first = work->wanted[from + t];
        linear(&m->head, work->q, work->scales, n_wanted, work->sums, work->logits + (size_t)first * m->head.n_out,
               m->head.n_out, 0, me, n_threads);
        meet(&work->team);
    }
}

static void *taken(char **from, size_t bytes) {
    void *here = *from;
    *from += ROUND_UP(bytes, 64);
    return here;
}

/* Lay a job's memory out from `at` on; returns where it ends. */
static char *lay_out(Work *work, char *at) {
    const Model *m = work->model;
    const size_t c = m->width, d = m->d_head, n_qkv = ROUND_UP((m->n_head + 2 * m->n_kv) * d, BLOCK);
    const size_t f = ROUND_UP(m->d_ff, BLOCK), widest = n_qkv > f ? n_qkv : f;
    const size_t all = ROUND_UP(c, BLOCK) > widest ? ROUND_UP(c, BLOCK) : widest;
    const size_t outs = all > (size_t)m->head.n_out ? all : (size_t)m->head.n_out;
    const size_t heads = (size_t)(m->n_head / m->n_kv) * work->capacity, mixed = 2 * (m->n_head / m->n_kv) * (d + BLOCK);
    work->rooms = taken(&at, work->n_threads * sizeof(Room));
    work->x = taken(&at, c * CHUNK * 4);
    work->y = taken(&at, c * CHUNK * 4);
    work->big = taken(&at, widest * CHUNK * 4);
    work->cosines = taken(&at, d * CHUNK * 4);
    work->sines = taken(&at, d * CHUNK * 4);
    work->scales = taken(&at, CHUNK * 4);
    work->q = taken(&at, (widest > c ? widest : c) * CHUNK);
    work->sums = taken(&at, outs * CHUNK * 4);
    for (int i = 0; i < work->n_threads; i++) {
        Room room;
        room.scratch = taken(&at, c * 4);
        room.scores = taken(&at, (size_t)work->capacity * 4);
        room.q = taken(&at, (size_t)m->n_head * (d + QUAD));
        room.weights = taken(&at, 2 * heads);
        room.sums = taken(&at, (heads > mixed ? heads : mixed) * 4);
        if (work->memory) work->rooms[i] = room;
    }
    return at;
}

PUBLIC void NAME(finish)(Work *work) {
    if (!work) return;
    team_close(&work->team);
    free(work->memory);
    free(work);
}

/* What calls of `forward` work with, for caches of this capacity; NULL without memory or threads. */
PUBLIC Work *NAME(begin)(const Model *model, int capacity, int n_threads) {
    Work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->model = model, work->capacity = capacity;
    const int failed = team_open(&work->team, work, n_threads);
    work->n_threads = work->team.n;
    const size_t bytes = (size_t)(lay_out(work, NULL) - (char *)NULL);
    work->memory = failed ? NULL : malloc(bytes + 64);
    if (!work->memory) {
        NAME(finish)(work);
        return NULL;
    }
    lay_out(work, (char *)ROUND_UP((uintptr_t)work->memory, 64));
    return work;
}

/* Whether a token can be read at all. */
static int known(const Model *m, const Cache *cache, int32_t id, const int32_t *row, int32_t slot, int32_t place) {
    int good = id >= 0 && id < m->n_ids && slot >= 0 && slot < cache->n_slots && place >= 0 && place < cache->capacity;
    for (int a = 0; a < m->n_attributes; a++) good &= row[a] >= 0 && row[a] < m->sizes[a];
    return good;
}

/* Read T tokens: ids (T,), attributes (T, A + 2), each of a slot and behind so many tokens of it. Where `wanted` is not
 * negative the logits of what follows go to that line of logits (., head.n_out); the lines ascend from 0. Returns 0, or
 * 1 where a number is out of range; then nothing was read. */
PUBLIC int NAME(forward)(Work *work, Cache *cache, int n_tokens, const int32_t *ids, const int32_t *attributes,
                          const int32_t *slots, const int32_t *places, const int32_t *wanted, float *logits) {
    work->cache = cache, work->n_tokens = n_tokens, work->ids = ids, work->attributes = attributes;
    work->slots = slots, work->places = places, work->wanted = wanted, work->logits = logits;
    for (int t = 0; t < n_tokens; t++)
        if (!known(work->model, cache, ids[t], attributes + (size_t)t * (work->model->n_attributes + 2), slots[t], places[t]))
            return 1;
    work->n_threads = able(&work->team);
    together(&work->team, work);
    return 0;
}

/* y = x W for rows (n, n_in) of single precision, in scratch of n * n_in bytes, n floats and n * n_out integers. */
PUBLIC void NAME(project)(const Matrix *w, const float *x, int n_rows, int8_t *q, float *scales, int32_t *sums, float *y) {
    for (int t = 0; t < n_rows; t++) scales[t] = quantize(x + (size_t)t * w->n_in, w->n_in, q + (size_t)t * w->n_in);
    linear(w, q, scales, n_rows, sums, y, w->n_out, 0, 0, 1);
}
