//! The floor: what the kernel itself takes for an echo, so that every other figure can be told as a ratio to it.
//!
//! The shortest loop that asks and hears the answers: one socket that sends (IPPROTO_RAW for IPv4, so that no socket lock is
//! taken), one that receives (ICMP, filtered to echo replies, SO_TIMESTAMPNS), sendmmsg and recvmmsg over messages that were laid
//! out beforehand. No matching, no timeouts, no statistics: a reply is counted, and its kernel stamp read. The packet is as long
//! as netwatch's (24 bytes of payload).
//!
//!     floor FAMILY FIRST COUNT RATE SECONDS [WAKE_US [BATCH]]
//!
//! FAMILY is 4 or 6, FIRST the first address and COUNT how many follow it in turn. RATE is in echoes a second: it wakes every
//! WAKE_US (1000), sends what is due and drains. RATE 0 is a burst: send a batch, drain, again. At the end one JSON object.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define MOST 256
#define PAYLOAD 24
#define ECHO (8 + PAYLOAD)
#define IPV4 20
#define ROOM 128
#define SECOND 1000000000ull
#define IDENT 0x6e77

static int family, sender, receiver, batch = 64;
static uint32_t first_v4;
static struct sockaddr_in6 base_v6;
static uint64_t count, sent, received, skipped, refused, stamp_sum, next_target;

static uint8_t packets[MOST][IPV4 + ECHO];
static struct sockaddr_in to_v4[MOST];
static struct sockaddr_in6 to_v6[MOST];
static struct iovec out_parts[MOST], in_parts[MOST];
static struct mmsghdr out[MOST], in[MOST];
static uint8_t in_bytes[MOST][ROOM];
static uint8_t in_control[MOST][64] __attribute__((aligned(8)));

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * SECOND + (uint64_t)at.tv_nsec;
}

static void option(int socket, int level, int name, const void *value, socklen_t length, const char *what) {
    if (setsockopt(socket, level, name, value, length) != 0) fail(what);
}

static void open_sockets(void) {
    int on = 1, send_buffer = 1 << 20, receive_buffer = 32 << 20;
    if (family == 4) {
        struct icmp_filter replies = {~(1u << ICMP_ECHOREPLY)};
        sender = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
        receiver = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
        if (sender < 0 || receiver < 0) fail("socket");
        option(receiver, SOL_RAW, ICMP_FILTER, &replies, sizeof replies, "ICMP_FILTER");
        option(sender, SOL_IP, IP_RECVERR, &on, sizeof on, "IP_RECVERR");
    } else {
        struct icmp6_filter replies, nothing;
        memset(&nothing, 0xff, sizeof nothing);
        replies = nothing;
        replies.data[ICMPV6_ECHO_REPLY >> 5] &= ~(1u << (ICMPV6_ECHO_REPLY & 31));
        sender = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
        receiver = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
        if (sender < 0 || receiver < 0) fail("socket");
        option(receiver, SOL_ICMPV6, ICMPV6_FILTER, &replies, sizeof replies, "ICMPV6_FILTER");
        option(sender, SOL_ICMPV6, ICMPV6_FILTER, &nothing, sizeof nothing, "ICMPV6_FILTER");
    }
    option(receiver, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on, "SO_TIMESTAMPNS");
    option(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer, "SO_RCVBUFFORCE");
    option(sender, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer, "SO_SNDBUF");
}

static void lay_out(void) {
    for (int i = 0; i < MOST; i++) {
        uint8_t *packet = packets[i], *echo = packet + (family == 4 ? IPV4 : 0);
        if (family == 4) {
            packet[0] = 0x45;
            packet[3] = IPV4 + ECHO;
            packet[8] = 64;
            packet[9] = IPPROTO_ICMP;
            to_v4[i].sin_family = AF_INET;
        } else {
            to_v6[i] = base_v6;
        }
        echo[0] = family == 4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
        echo[4] = IDENT >> 8;
        echo[5] = IDENT & 0xff;
        out_parts[i].iov_base = packet;
        out_parts[i].iov_len = (family == 4 ? IPV4 : 0) + ECHO;
        out[i].msg_hdr.msg_name = family == 4 ? (void *)&to_v4[i] : (void *)&to_v6[i];
        out[i].msg_hdr.msg_namelen = family == 4 ? sizeof to_v4[i] : sizeof to_v6[i];
        out[i].msg_hdr.msg_iov = &out_parts[i];
        out[i].msg_hdr.msg_iovlen = 1;
        in_parts[i].iov_base = in_bytes[i];
        in_parts[i].iov_len = ROOM;
        in[i].msg_hdr.msg_iov = &in_parts[i];
        in[i].msg_hdr.msg_iovlen = 1;
        in[i].msg_hdr.msg_control = in_control[i];
        in[i].msg_hdr.msg_controllen = sizeof in_control[i];
    }
}

/* The checksum of an echo whose other words never change: type 8, the identifier, the sequence. */
static uint16_t checksum(uint16_t sequence) {
    uint32_t sum = 0x0800u + IDENT + sequence;
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void address(int i) {
    uint16_t sequence = (uint16_t)(sent + (uint64_t)i);
    uint8_t *echo = packets[i] + (family == 4 ? IPV4 : 0);
    echo[6] = (uint8_t)(sequence >> 8);
    echo[7] = (uint8_t)sequence;
    if (family == 4) {
        uint32_t to = htonl(first_v4 + (uint32_t)next_target);
        uint16_t sum = checksum(sequence);
        echo[2] = (uint8_t)(sum >> 8);
        echo[3] = (uint8_t)sum;
        memcpy(packets[i] + 16, &to, 4);
        to_v4[i].sin_addr.s_addr = to;
    } else {
        uint32_t low = htonl(ntohl(base_v6.sin6_addr.s6_addr32[3]) + (uint32_t)next_target);
        to_v6[i].sin6_addr.s6_addr32[3] = low;
    }
    if (++next_target == count) next_target = 0;
}

static void send_batch(int length) {
    for (int i = 0; i < length; i++) address(i);
    int done = 0;
    while (done < length) {
        int more = sendmmsg(sender, out + done, (unsigned)(length - done), 0);
        if (more > 0) {
            done += more;
        } else if (errno != EINTR) {
            refused++;
            done++;
        }
    }
    sent += (uint64_t)length;
}

/* Takes what is there. The replies of a batch have come by the time it was sent, so that one call is nearly always enough. */
static void drain(void) {
    int got;
    do {
        got = recvmmsg(receiver, in, (unsigned)batch, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++) {
            struct cmsghdr *control = CMSG_FIRSTHDR(&in[i].msg_hdr);
            if (control && control->cmsg_type == SCM_TIMESTAMPNS) {
                struct timespec at;
                memcpy(&at, CMSG_DATA(control), sizeof at);
                stamp_sum += (uint64_t)at.tv_nsec;
            }
            uint8_t *echo = in_bytes[i] + (family == 4 ? (in_bytes[i][0] & 15) * 4 : 0);
            received += echo[4] == IDENT >> 8 && echo[5] == (IDENT & 0xff);
            in[i].msg_hdr.msg_controllen = sizeof in_control[i];
        }
    } while (got == batch);
    if (got < 0 && errno != EAGAIN && errno != EINTR) fail("recvmmsg");
}

static void paced(uint64_t rate, uint64_t begin, uint64_t end, uint64_t wake) {
    uint64_t planned = 0;
    for (uint64_t at = begin; at < end; at += wake) {
        struct timespec until = {(time_t)(at / SECOND), (long)(at % SECOND)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
        uint64_t due = (at - begin + wake) * rate / SECOND - planned;
        planned += due;
        /* What was missed in a stall is not caught up with. */
        if (now() > at + 50000000) {
            skipped += due;
            continue;
        }
        while (due > 0) {
            int length = due < (uint64_t)batch ? (int)due : batch;
            send_batch(length);
            due -= (uint64_t)length;
            drain();
        }
    }
}

static void burst(uint64_t end) {
    while (now() < end) {
        send_batch(batch);
        drain();
    }
}

int main(int arguments, char **words) {
    if (arguments < 6) {
        fprintf(stderr, "usage: floor FAMILY FIRST COUNT RATE SECONDS [WAKE_US [BATCH]]\n");
        return 2;
    }
    family = atoi(words[1]);
    base_v6.sin6_family = AF_INET6;
    struct in_addr v4;
    int is_address = family == 4 ? inet_pton(AF_INET, words[2], &v4) : inet_pton(AF_INET6, words[2], &base_v6.sin6_addr);
    count = strtoull(words[3], NULL, 10);
    uint64_t rate = strtoull(words[4], NULL, 10), wake = arguments > 6 ? strtoull(words[6], NULL, 10) * 1000 : 1000000;
    double seconds = atof(words[5]);
    if (arguments > 7) batch = atoi(words[7]);
    if ((family != 4 && family != 6) || is_address != 1 || !count || !wake || batch < 1 || batch > MOST || seconds <= 0) {
        fprintf(stderr, "floor: an argument makes no sense\n");
        return 2;
    }
    if (family == 4) first_v4 = ntohl(v4.s_addr);
    prctl(PR_SET_TIMERSLACK, 1ul);
    open_sockets();
    lay_out();

    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    uint64_t begin = now(), end = begin + (uint64_t)(seconds * 1e9);
    if (rate > 0) paced(rate, begin, end, wake);
    else burst(end);
    double wall = (double)(now() - begin) / 1e9;
    getrusage(RUSAGE_SELF, &after);
    /* What is still on its way belongs to the loss, not to the cost. */
    for (int i = 0; i < 20 && received + refused < sent; i++) {
        struct timespec pause = {0, 10000000};
        nanosleep(&pause, NULL);
        drain();
    }
    double user = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1e6 + (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    double system = (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e6 + (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec);
    printf("{\"sent\":%llu,\"received\":%llu,\"refused\":%llu,\"not_sent\":%llu,\"seconds\":%.6f,\"user_us\":%.0f,\"system_us\":%.0f,"
           "\"stamps\":%llu}\n",
           (unsigned long long)(sent - refused), (unsigned long long)received, (unsigned long long)refused,
           (unsigned long long)skipped, wall, user, system, (unsigned long long)stamp_sum);
    return 0;
}
