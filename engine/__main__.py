"""The door of the command: signals are answered from here on, before anything heavy is imported."""

from __future__ import annotations

from engine import interrupts


def main() -> None:
    """Run ``dyadid`` in a process of its own."""
    code: object = 0
    try:
        interrupts.install()  # within, as a signal may come while the handlers are set
        from engine import cli  # not above: it takes a while

        cli.main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:  # when the command had said its last word
        interrupts.leave_at_once()
    interrupts.leave(code)


if __name__ == "__main__":
    main()
