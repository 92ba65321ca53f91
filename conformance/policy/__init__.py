"""What a team decided: which differences fail (`rules`), and which are accepted until when and by whom (`waivers`)."""
