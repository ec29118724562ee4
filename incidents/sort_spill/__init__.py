"""An export sorts more than its memory holds, and does so without a pause.

Measured on a million payments: the last thirty days are 335,000 rows, of which each page of the export sorts 14 MB on
disk, because the sort may use 4 MB. Page 51 of it needs 10 MB if it may keep only what it has to show.
"""

from pathlib import Path

from incidents.model import Alert, Compares, Evidence, Fix, Incident, Login, Oracle, Repeat, Signal, Step

INCIDENT = Incident(
    name="sort-spill",
    title="Sorts do not fit into memory",
    rank=10,
    summary=(
        "Payments have become slower, every route a little, none of them more than the others. Their own "
        "statements and plans "
        "are the same as before; the machine is busier."
    ),
    causes=(
        (
            "The finance department's export reads the payments of a month page by page, the largest first, in "
            "three sessions."
        ),
        "No index gives that order, so each page sorts a third of a million rows to show a thousand.",
        "A sort may use 4 MB (work_mem) and needs more, so it writes 14 MB of temporary files for each page.",
        "Sorting, writing and reading take the processor and the disk from everybody else.",
        "Customers wait longer for their payments.",
    ),
    steps=(Step(file="export.sql", login=Login.EXPORT, sessions=4, repeat=Repeat(pause_seconds=0.1)),),
    evidence=(
        Evidence(
            signal=Signal.METRICS,
            name="temporary bytes",
            query="db:temp_bytes:rate_30s",
            shows="Megabytes a second go to temporary files, where none did before.",
            compares=Compares.rises(margin=2e6),
        ),
        Evidence(
            signal=Signal.LOGS,
            name="temporary files",
            query='sum(count_over_time({app="postgres"} |= "temporary file: path" [30s]))',
            shows="Each file is logged with its size and the statement that wrote it: the export's.",
            compares=Compares.rises(margin=3),
        ),
        Evidence(
            signal=Signal.TRACES,
            name="slow requests",
            query='{ resource.service.name = "payment-service" && kind = server && duration > $slow }',
            shows="Requests of every kind take several times as long as usual, and no statement of theirs stands out.",
            compares=Compares.rises(2, margin=2),
        ),
    ),
    alert=Alert(name="TempFiles"),
    right_fixes=(
        Fix(
            does=(
                "Build an index that gives the export's order and holds its columns, with CREATE INDEX CONCURRENTLY."
            ),
            because=(
                "The export then reads its page from the index and sorts nothing. Without the columns it would "
                "look up a hundred thousand rows one by one, which is slower than the sort."
            ),
            folder="fixes/index_for_the_order",
        ),
        Fix(
            does=(
                "ALTER ROLE payments_owner SET work_mem = '16MB', and end the export's sessions so that they "
                "connect anew."
            ),
            because=(
                "The rows that a page needs fit into 10 MB; the setting is for this role only, and only new "
                "sessions have it."
            ),
        ),
    ),
    unsafe_fixes=(
        Fix(
            does="Build the index without CONCURRENTLY.",
            because="No payment can be written until it is built.",
            folder="fixes/blocking_index",
        ),
        Fix(
            does="Raise work_mem for everybody, to 256 MB.",
            because=(
                "Every sort of every session may use that much; a few at a time are more than the server has, "
                "and the kernel ends it."
            ),
        ),
    ),
    oracle=Oracle(
        sql=(
            "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = 'payments'::regclass AND indisvalid "
            r"AND pg_get_indexdef(indexrelid) ~ '\(amount_minor( DESC)?, id') "
            "OR EXISTS (SELECT FROM pg_roles, unnest(rolconfig) AS setting WHERE rolname = 'payments_owner' "
            "AND setting ~ '^work_mem=[0-9]+ *[kMG]B$' AND pg_size_bytes(split_part(setting, '=', 2)) >= 12 * "
            "1024 * 1024)"
        ),
        says="A valid index begins with amount_minor and id, or the export's role may sort in 12 MB or more.",
    ),
    ask=(
        "Everything is a little slower: what else is running on the database?",
        "Which statement writes temporary files, and how large are they?",
        "Would you raise work_mem?",
    ),
    finds=(
        "finance-export sorts the month's payments by amount for every page and spills 14 MB each time: "
        "temporary bytes and files "
        "rise from zero, the log names the statement. A covering index in its order, built concurrently, ends "
        "the sort; "
        "work_mem for this role alone would do as well, for the whole server it is dangerous."
    ),
    bound=(
        "Each session's temporary files are 14 MB and go with the statement; temp_file_limit would stop a "
        "session at 2 GB. Memory: "
        "work_mem for each of four sorts."
    ),
    folder=Path(__file__).parent,
)
