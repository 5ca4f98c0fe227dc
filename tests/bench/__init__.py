"""`make bench`: this gateway beside its peers, in front of one fast loopback upstream, in one table.

    process       CPU seconds and memory of a server's whole process tree
    server        what is started: as a user would start it, killed whatever happens
    native        the programs in C: upstream.c and generator.c, with upstream.py and generator.py where none compiles
    client        a keep-alive HTTP connection
    load          what is asked of a server, and what came of it
    subject       this gateway, the upstream and the echo, and what each is asked
    environment   the peers' environments
    peer          the peers
    measure       interleaved rounds, medians
    start         from exec to the first answers, and what is stalled while LiteLLM loads
    growth        memory over many requests
    scale         little and much of one thing
    log           the trace log: its speed, its size, and what questions to it take
    instructions  of a cached answer, beside those that are kept
    run           one run of all of it
    report        what it has measured, to JSON and back
    target        the targets, and whether they are met
    table         what is printed
    plot          what is drawn
    document      docs/performance.md

Absolute figures move with the machine; ratios within one run and CPU seconds per request hold.
"""
