"""Surgery: channels physically removed from a network, so that what is left is a smaller dense network.

    print(compress.channel_groups(model, x))        # what belongs together, in words
    small = compress.compact(model, x)              # without the channels that pruning has set to zero
    small = compress.prune_channels(model, x, macs=0.5)   # without the least channels, to half the work
    compress.recalibrate(small, x_train)            # batch norm's statistics anew; then train on

A file an idea: entries.py (which entries of which arrays go together), algebra.py (what each operation says
of that: one row a rule), groups.py (the dependency groups), constant.py (what a channel is, whatever the
input), cut.py (what is to be cut), removal.py, compacting.py, leaks.py (what a removed channel still added),
windows.py, layers.py (the sizes that layers keep as attributes), choice.py (which channels go),
recalibration.py."""
