"""World `doom`: the bundled scenarios of ViZDoom, headless (extra [doom])."""
