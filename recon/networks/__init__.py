"""Small networks that depth is measured with. What trains them is in hybridwm.training; their weights lie here."""
