"""What a process can say of what it and its neighbours use: groups, processes, folders, GPUs.

Read with the rights of whoever asks and with the standard library alone, because supervisors and
notebook servers both do.
"""
