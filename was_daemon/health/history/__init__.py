"""What was counted in the last hour, day and week, kept in small files of fixed size, for the plots of the console.

`ring_file` keeps samples, `samples` takes them of the metrics, `series` makes rates and percentages of them, and
`history` does it all for one process. With several processes each writes a file, and reads those of all.
"""
