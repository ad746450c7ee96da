"""What a search cost, and what a smaller one would have found: on the tables of runs alone.

``curves`` is the lookup that all is answered from: what each config reached after each epoch with each seed.
"""
