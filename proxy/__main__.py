"""`python -m proxy` is `parea-proxy`."""

from proxy.cli import main

if __name__ == "__main__":
    main(prog_name="parea-proxy")
