"""What a search cost, and what a smaller one would have found: on the tables of runs alone.

``curves`` is the lookup that all is answered from: what each config reached after each epoch with each seed. ``replay``
searches it again by another ``policy``. ``fidelity`` tells from which epoch on it showed who wins; ``budgets``, what
fewer random trials find on average, ``bands``, how sure that is, and ``leads``, which method is ahead at which budget;
``power``, how many seeds and images would tell two methods apart.
"""
