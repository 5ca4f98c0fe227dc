"""`make bench`: this gateway beside the LiteLLM proxy, in front of one fast loopback upstream, in one table.

    process   CPU seconds and memory of a server's whole process tree
    server    what is started: as a user would start it, killed whatever happens
    upstream  the loopback upstream
    client    a keep-alive HTTP connection
    load      the load generator, a process of its own
    subject   who is measured, and what each is asked
    peer      the LiteLLM proxy's environment
    measure   interleaved rounds, medians
    start     from exec to the first answers, and what is stalled while LiteLLM loads
    table     the table and the targets
    durability  kill -9 under load: no acknowledged row is lost

Absolute figures move with the machine; ratios within one run and CPU seconds per 1000 requests hold.
"""
