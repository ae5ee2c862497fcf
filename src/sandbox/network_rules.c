/* What nftables does in a jail: it leads TCP to the capture listener, ends what else there is, and counts it.
 *
 * It is no wall: without a single rule nothing would leave either, since there is no interface to leave by.
 */
#include "sandbox/network_parts.h"

#include "base/buf.h"

#include <nftables/libnftables.h>
#include <stdlib.h>

#define TEXT_(x)     #x
#define TEXT(x)      TEXT_(x)
#define CAPTURE_PORT 3129
#define UDP_TRIED    1024
_Static_assert((int)NETWORK_CAPTURE_PORT == CAPTURE_PORT && (int)NETWORK_UDP_TRIED_MAX == UDP_TRIED,
               "the same");
#define T " inet " NETWORK_TABLE " "

/* In order; all of them are one transaction.  `module`: what the kernel lacks where only this one fails.
 * To add one: a row here, and a probe in tests/e2e/test_jail_network.py. */
static const struct {
    const char *text, *module;
} rules[] = {
    {"add table" T, "nf_tables"},
    {"add set" T NETWORK_UDP4_SET
     " { type ipv4_addr . inet_service; flags dynamic; size " TEXT(UDP_TRIED) "; }",
     "nf_tables"},
    {"add set" T NETWORK_UDP6_SET
     " { type ipv6_addr . inet_service; flags dynamic; size " TEXT(UDP_TRIED) "; }",
     "nf_tables"},

    /* Loopback is the jail's own and works as usual; port 53 has a listener on every address. */
    {"add chain" T "capture { type nat hook output priority -100; policy accept; }", "nft_chain_nat"},
    {"add rule" T "capture ip daddr 127.0.0.0/8 return", "nf_tables"},
    {"add rule" T "capture ip6 daddr ::1 return", "nf_tables"},
    {"add rule" T "capture tcp dport 53 return", "nf_tables"},
    {"add rule" T "capture meta l4proto tcp redirect to :" TEXT(CAPTURE_PORT), "nft_redir"},

    /* After the redirect: what still is for another address than loopback was not redirected. */
    {"add chain" T "wall { type filter hook output priority 0; policy drop; }", "nf_tables"},
    {"add rule" T "wall ip daddr 127.0.0.0/8 accept", "nf_tables"},
    {"add rule" T "wall ip6 daddr ::1 accept", "nf_tables"},
    {"add rule" T "wall ct direction reply accept", "nft_ct"},
    {"add rule" T "wall meta l4proto { tcp, udp } th dport 53 accept", "nf_tables"},
    /* The kernel's own: programs have no raw sockets.  By these a refusal is heard. */
    {"add rule" T "wall icmp type destination-unreachable accept", "nf_tables"},
    {"add rule" T "wall icmpv6 type destination-unreachable accept", "nf_tables"},
    /* A full set ends the first two rules, not the third. */
    {"add rule" T "wall meta l4proto udp add @" NETWORK_UDP4_SET " { ip daddr . udp dport counter }",
     "nft_counter"},
    {"add rule" T "wall meta l4proto udp add @" NETWORK_UDP6_SET " { ip6 daddr . udp dport counter }",
     "nft_counter"},
    {"add rule" T "wall meta l4proto tcp reject with tcp reset", "nft_reject_inet"},
    {"add rule" T "wall reject", "nft_reject_inet"},
};

enum { RULES_BYTES = 8 << 10 };

/* Row by row, to say which one this kernel cannot. */
static int find_culprit(struct nft_ctx *nft, struct err *e)
{
    if (nft_run_cmd_from_buffer(nft, "flush ruleset") != 0)
        return err_set(e, "this kernel has no nftables for the jail: `sudo modprobe nf_tables`");
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (nft_run_cmd_from_buffer(nft, rules[i].text) != 0)
            return err_set(e,
                           "this kernel cannot do what the jail's network needs (%s): `sudo modprobe %s`, or "
                           "`network: explicit` in the policy",
                           rules[i].text, rules[i].module);
    return err_set(e, "the jail's nftables rules were refused as a whole, and not one by one; try again");
}

int network_load_rules(struct err *e)
{
    AUTO_BUF text = BUF_INIT(RULES_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (buf_printf(&text, "%s\n", rules[i].text) < 0)
            return err_set(e, "no memory for the jail's rules");
    const char *all = buf_cstr(&text);
    struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!all || !nft) {
        if (nft)
            nft_ctx_free(nft);
        return err_set(e, "no memory for the jail's rules");
    }
    nft_ctx_buffer_error(nft); /* else the library prints by itself */
    nft_ctx_buffer_output(nft);
    int result = nft_run_cmd_from_buffer(nft, all) == 0 ? 0 : find_culprit(nft, e);
    nft_ctx_free(nft);
    return result;
}
