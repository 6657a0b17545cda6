//! The site as a whole.

use super::*;

section! {
"sysNull": "Does nothing."
contract "Its cost is the cost of a call by itself: what a benchmark measures the others against."
arguments {}
result "0."
errors {}
assertions []
example r"void call_often(void)
{
    for (int count = 0; count < 1000; count++)
        sysNull();
}
"
see ["siteStat", "siteMark"]

"sysLog": "Puts a line on the site's console log."
contract "The line is text of at most 256 bytes; what is longer is cut, and bytes that are not UTF-8 end it. It appears with the site's own messages, unless the site was booted with `chorus.log=quiet`. Needs \
neither a console service nor the network, and so is what a program has left when those fail."
arguments {
    text "The line, without an end of line.";
    size "Bytes of it.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
missing "Nothing is formatted (`%d`, `%s`), and no ring buffer is kept: formatting is the library's (NC-279)."
assertions [279..=279]
example r#"void here(void)
{
    static const char line[] = "reached the second stage";
    sysLog(line, sizeof line - 1);
}
"#
see ["siteStat", "siteMark"]

"siteStat": "Counters of the site."
contract "Number and incarnation of the site, how many processors, actors, threads and ports it has, and what it has counted since boot: calls, thread switches, messages, page faults, exceptions, interrupts. \
`longest_ns` is the longest time since boot that a processor heard no interrupts, `recent_ns` the same since this call was made last, each with what it was in. A thread that is ready waits for a less urgent \
one just as long at most: after each such stretch, a step of a long call among them, the most urgent runs, so that the longest stretches without preemption are these too (NC-264)."
arguments {
    stat "Where the counters go.";
}
result "0."
errors {
    Fault BAD_POINTER;
}
assertions []
example r"/* Thread switches that a piece of work takes. */
unsigned long switches(void (*work)(void))
{
    KnSiteStat before = { 0 }, after = { 0 };
    siteStat(&before);
    work();
    siteStat(&after);
    return after.switches - before.switches;
}
"
see ["actorStat", "vmStat", "uiLocalSite"]

"siteHalt": "Ends the site."
contract "The virtual machine ends with this exit code, at once: nothing is told to anyone, as when the power fails."
arguments {
    code "Exit code; its lowest 8 bits count.";
}
result "None: it does not return."
errors {
    Priv NOT_TRUSTED;
}
assertions []
example r"/* The verdict of a test that runs in a site. */
void report(int failures)
{
    siteHalt(failures ? 1 : 0);
}
"
see ["actorExit", "siteMark"]

"siteMark": "Reports a mark to the machine."
contract "Whoever runs the virtual machine sees the number, with its own time and counters: that is how boots and benchmarks are measured from outside. The boot has marks of its own: 1 the first instruction of the Nucleus, 2 the Nucleus is ready, 3 the first user instruction, 4 the site has joined the cluster."
arguments {
    mark "The number.";
}
result "0."
errors {
    Priv NOT_TRUSTED;
}
assertions []
example r"void measured(void (*work)(void))
{
    siteMark(100);
    work();
    siteMark(101);
}
"
see ["siteHalt", "siteStat", "sysNull"]
}
