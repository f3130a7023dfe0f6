"""Measures of music and of models: one module per family, each with conventions, validate, metrics, evaluate().

`pieces` sums up the metrics of a piece (`pitch`, `rhythm`, `texture`, `structure`, `voices`); `compare` holds a set
of pieces against real ones (`features`, `distances`, `two_sample`; `report` and `page` show it); `originality` finds
what a piece shares with the training data; `likelihood`, `markov` and `chorales` measure models.
"""
