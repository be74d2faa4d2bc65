"""On a schedule, every picture is brought to the current model, and the model is switched."""
