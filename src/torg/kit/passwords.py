"""Which passwords are too weak to take: after NIST SP 800-63B and OWASP ASVS, length counts, composition does not, and what everybody uses is refused.

A password counts as common when it is in the list of those that leaked most often (common_passwords/), and the words below stand for many more: in
any case, with digits for letters (p4ssw0rd), or with digits and signs around them (Password2024!)."""

from __future__ import annotations

import gzip
import re
from functools import cache
from pathlib import Path
from typing import Final

SHORTEST: Final = 8
LONGEST: Final = 128
DIGITS_ENOUGH: Final = 14  # shorter ones without a letter are dates and telephone numbers

_LETTERS: Final = str.maketrans("013457@$!", "oieastasi")
_RIM: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_ROWS: Final = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopqwertyuiop",
    "asdfghjklasdfghjkl",
    "zxcvbnmzxcvbnm",
    "йцукенгшщзхъ",
    "фывапролджэ",
)

COMMON: Final = frozenset(
    """
    123qweasd 123qweasdzxc 1234qwer 1234rewq 12qwaszx 1a2b3c4d 1q2w3e4r 1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx 1qaz2wsx3edc 1qazxsw2 1qaz1qaz 1qazzaq1
    2wsx3edc 3edc4rfv 789456123 147258369 159357456 159753456 741852963 963852741 987654321 147852369 123654789 123789456 112233445566 11223344 12341234
    12121212 13131313 10203040 102030405060 123123123 123321123 123454321 12344321 12345679 321321321 456456456 789789789 999888777 111222333 121314151617
    a1b2c3d4 a1b2c3d4e5 a1s2d3f4 aa123456 aaa111 aaaa1111 ab123456 abc12345 abcd1234 abcdabcd asd123asd asdasd asdasdasd asdf1234 asdfasdf asdfqwer
    q1w2e3r4 q1w2e3r4t5 q1w2e3r4t5y6 qaz123 qaz123wsx qazqaz qazwsx qazwsxedc qazxsw qazxswedc qqq111 qqqq1111 qqww1122 qw12er34 qwaszx qwe123 qwe123qwe
    qwe123rty qweasd qweasdzxc qweqwe qweqweqwe qwer1234 qwerasdf qwerasdfzxcv qwertyui qwerty qwertz qwert qwer azerty azertyuiop wasd wasdwasd zaq12wsx
    zaq1xsw2 zaqxsw zxc123 zxcasdqwe zxcv1234 zxcvzxcv zzzxxx zxzxzx z1x2c3v4 poiuytrewq lkjhgfdsa mnbvcxz trewq ytrewq йцукен фывап ячсмить
    aaron abcdef abcdefg abcdefgh abraham access account adgjmptw admin administrator adobe adrian africa aggie airborne alaska albert alejandra alejandro
    alex alexander alexandra alexis alexey alexandr alice alicia alison allison aloha alpha alyssa amanda amateur amber america american amsterdam
    anastasia anatoly anderson andrea andreas andrei andrew andrey android angel angela angelica angelina angels animal anna annie anthony antonio anton
    anything apache apollo apple apples april aquarius archer argentina ariana arizona arkansas arsenal arthur artem asawako ashley assassin
    athena atlanta attitude auburn august aurora austin australia autumn avalanche avatar babygirl babyblue babydoll babyface badass badboy badger
    baggins bailey ballet ballin balloon bamboo banana bandit barbara barbie barcelona barney basebal baseball basket basketball bastard batman bball
    beach beagle beatles beaver beautiful because bella belladonna benjamin bernard beyonce bigdaddy bigdog billabong billy bingo
    birthday biteme bitch bitches blabla black blackberry blackcat blackie blackjack blackout blahblah blaster blazer blessed blessing blink blizzard
    blonde blondie bloody blossom blowme blue blueberry bluebird bluesky bobby bollocks bond bonnie boobies booboo boomer booger boston bowling
    bowwow bradley brandon brandy brasil braves brazil brenda brian bridget britney broncos brooklyn brother brownie browns bruno bubba bubbles buddha
    buddy buffalo bulldog bulldogs bullet bullshit burger buster butter buttercup butterfly button butthead caesar california calvin camaro camero
    camille campbell canada cancer candy canela canon captain cardinal cardinals carlos carmen carolina caroline carpenter carter cartman casanova
    casey casper cassandra cassie casino catalina catfish catherine celeste celtic celtics center challenge champion champions chance chandler change
    changeme changeit charger chargers charles charley charlie charlotte charming cheater cheese cheesecake chelsea cherokee cherry chester chevelle
    chevrolet chevy chewbacca cheyenne chicago chicken chicks chihuahua china chinese chocolate chopper chris chrisbrown christ christian christina
    christine christmas christopher chronic cinderella cindy claire clancy classic claudia clement cleopatra clinton clifford cocacola coconut coffee
    college colombia colorado columbia comanche commander compaq compass computer computers concrete confirm connect connor consumer contact control
    cookie cookies cooking cooper copper corazon corona corvette country courtney cougar cowboy cowboys coyote creative cricket cristian cristina
    crystal customer cutie cyclone cynthia dakota dallas damian dancer dancing daniel daniela danielle danger danny dark darkness darkangel
    darling darren dauphin david deadman deborah december defender deftones delete delfin delta demon denise dennis denver derrick desire desktop
    destiny detroit deutsch devil dexter diablo diamond diamonds diana diego dietcoke digital dilbert dima dimples dinamo director dirty discover
    disney dmitry dmitriy doctor dodgers dodger doggie dolphin dolphins domination dominic dominick dominique donald donkey doraemon dorothy douglas
    download dragon dragonball dragons dreamer dreams drowssap drummer drummer duke dundee dunlop eagle eagles eastside eclipse eduardo edward einstein
    ekaterina elaine elena electric elephant elizabeth element elijah elvis emanuel emerald emily emmanuel eminem empire energy enigma enter england
    enterprise eric erica escort esther eternal eternity europa evelyn evgeny everton everything example excalibur explorer express extreme faggot
    fairlane faith falcon falcons family fantasia fantasy farmer fashion fastball fatboy fatima favorite february federal felicia felipe fender fenris
    fernanda fernando ferrari ferret fiction fidelity fiesta fighter firebird firefire firefly firefox fireman first fisher fishing flamingo florence
    florida flower flowers fluffy flying flyers football ford forest forever forgot formula fortuna fortune forum france francesco francis francisco
    frank frankie franklin freak freddy frederic free freddie freedom freeman freeuser freepass french friday friend friends friendster froggy frontier
    frosty fuck fucker fucking fuckme fuckoff fuckyou fuckyou2 galaxy galina gambler games gamecube gandalf gangsta gangster garden garfield gateway
    gators gemini general genesis geniuss george gerard germany gerrard getmoney gfhjkm giants gibson gilbert ginger giovanni girls gizmo gladiator
    godzilla golden goldfish goldie golfer golfing gonzalez goodluck goodgirl google gordon gorgeous grace gracie graduate graham grandma grandpa
    granite great green greenday greenbay gregory griffin grizzly guardian guest guinness guitar gunners hacker hahaha hahahaha hallo halloween hamilton
    hammer hamster handsome hannah hansolo happiness happy happyday hardcore hardon harley harry harrypotter harvard harvey hatred hawaii hawkeye
    heather heaven hector heineken helena hello helloo hellohello hellokitty hellothere helpme henry hercules heritage hermosa hiphop history hockey
    hollister hollywood homerun honda honey honeybee honeys honolulu hooters horses hotdog hotmail hotstuff hottie houston howard hummer hunter
    hunting hurricane ibanez iceman idontknow idiot ihateyou iloveme iloveu iloveyou iloveyou2 iloveyousomuch ilovegod ilovejesus iloveu2 imagine
    immortal impala imperial india indian indiana infantry infinity inferno inside installer integra intel internet internal intruder ireland irene
    irina ironman isabel isabella isabelle isaiah iverson jackass jackie jackson jacob jaguar jamaica james jamesbond jamie janice january japan jasmin
    jasmine jason jasper javier jayden jeffrey jennifer jenny jeremiah jeremy jerome jessica jessie jesus jesuschrist jethro jewels jimmy joanna jocker
    johannes johanna john johncena johnny johnson joker jonathan jordan jorge joseph joshua journey juanita julia julian juliana julie juliet julius
    junior jupiter justice justin justinbieber justdoit kakashi kamikaze karina karolina katana katherine kathleen kathryn katie katrina kawasaki
    kenneth kermit kernel kevin keyboard khan killer killers kimberly kingdom kingkong kingston kirill kitten kittycat kitty knight knights knicks
    kolobok konstantin kristen kristin kristina ksenia lacrosse ladybug lakers lalala lancer laptop larisa lauren laura lawrence leather legend legolas
    lemonade leonard leonardo leslie letmein letmeinn letmesee letmein2 liberty lifehack lights limited lincoln linda lindsay lindsey lineage lineage2
    linkinpark lisa little live liverpool lizard logan login logitech lollipop lollol lolipop london looking lorena loser losers louise loulou love
    loveable lovebug loveforever lovehate lovelife lovelove lovely loveme lover loverboy lovers loveyou lucas lucky luckydog lucifer ludmila lunatic
    macintosh madison madonna madrid maggie magic magical magnum mailman malcolm mallorca manager manchester mandy manning manuel marathon marcus
    margaret margarita maria mariah mariana marie marijuana marina marine mariners marines mario marion mariposa marissa mark marlboro marley marlene
    marshall martha martin martina marvin maryjane maryland master masters masterkey matrix matthew maverick maxim maximus maxwell mayday meatball
    megadeth megan melanie melissa mellon member memorex memories mercedes mercury merlin metal metallic metallica mexican mexico miami michael michaela
    michal michel michele michelle mickey mickeymouse microsoft midnight miguel mikael mikhail miller millions minecraft minnie miracle mission
    mississippi mister mistress mobile mohamed mohammed molly monday money moneymaker monica monique monkey monkeys monopoly monster monsters montana
    montreal moonlight morgan morris mortimer moscow moskva motdepasse mother motherfucker motorola mountain mouse movies muffin muhammad multimedia
    murphy music musica mustang mustangs myname mypassword myspace mystery naruto nastya natalia natalie natasha nathan nathaniel natural naughty navy
    nellie nelson neptune network newlife newpass newpassword newport newton newyork newyorker nicholas nichole nicolas nicole nikita nikolai
    nikolay nineinch ninja nintendo nipple nipples nirvana nissan nobody nokia nomore nonono nopass nopassword normal norman northern nothing notebook
    november nugget nuggets october office oksana olesya oleg olivia olga oliver onelove online oracle orange oranges orchard orlando orioles outlaw
    oxford pacific packard packers paintball pakistan paladin pamela panasonic panama pandora panda pantera panther panthers panties papamama paradise
    paradox paramore parker parola parol pass passme passpass passport passw passwd password passwords passwort password1234 passwordpassword pathfinder
    patches patience patricia patrick patriot patriots paulina pavel peaches peanut peanutbutter pearljam pegasus pencil penelope penguin penguins
    penis pentium people peoples pepper pepsi perfect perfection peter peterpan peterson phantom philip philips phillies phillip phoenix photo phpbb
    picard pickle picture pineapple pinkfloyd pinky pioneer piramide pirate pirates pistons pizza platinum playboy player playstation please pokemon
    poland police polina polska poohbear pookie popcorn popeye porn porno pornstar porsche portugal possible postal potato power powerful powerpoint
    prayer precious predator prelude premier presario president pretty prince princess princesa princeton printer private privet prodigy producer
    promise property prosper psycho public pumpkin puppies purple pussies pussy pussycat pyramid qwertyasdf rabbit rachel racing radical radiohead
    raider raiders railroad rainbow rainbows raistlin raiders rammstein random ranger rangers raphael rasta rasputin ravens raymond reading realmadrid
    rebecca rebelde rebels redbull reddog redhead redneck redrose redskins redsox redwings reebok reggae regina remember renegade requiem resident
    respect reynolds rhubarb ricardo richard richmond rider roadking roadrunner robert roberta roberto robinson robotech rocket rockets rockband
    rocknroll rockstar rockyou rodriguez roger roland romance romania romashka ronald ronaldinho ronaldo rooster root rootroot rosario rosebud roses
    rossia rosemary roxanne royals rubber rugby ruslan russell russia russian ruthless sabrina sailing sailor saints salmon saladin samantha sammy
    samson samsung samuel sanchez sandman sandra sandwich sandy santa santana santiago santos sapphire sarah sarita saskia sasuke saturday saturn
    savage savannah scarface scarlet scarlett schmidt school scissors scooby scoobydoo scooter scorpio scorpion scotland scott seattle sebastian
    secret secrets secure security selena semperfi senators september serenity sergei sergey sergio server service sestra seven sexsex sexy sexybitch
    sexygirl sexyman shadow shadows shalom shanghai shannon sharks sharon shaved sheila shelby shelly sherlock shirley shithead shopping shorty shotgun
    siemens sierra silence silver silverado simple simpsons single sister sixers skateboard skater skeeter skipper skittles skyline skywalker slayer
    sleeping slipknot smashing smile smiles smiley smirnova smith smokey smoking smoothie snickers sniper snoopdog snoopy snowball snowboard snowflake
    snowman soccer sofia software soldier solnce solnishko solomon something sommer sonic sooners sophia sophie soprano southern southpark southside
    spanish spanking spanky sparkle sparky sparrow spartan spartans special spectrum spencer spider spiderman spirit spitfire sponge spongebob sporting
    sports spring springer spurs squirrel stalker standard stanford stanley star starbucks stardust starfish stargate starlight starship start starter
    startrek starwars station stealth steelers stefan stella stellar stephanie stephen sterling steven steward stewart stinky storm strange stranger
    strawberry street strike strong student studio stupid stuttgart subaru sublime success suckit sugar summer summertime sunday sundance sunflower
    sunny sunrise sunset sunshine super superbowl superman supernova supersonic superstar supervisor support suprise surfer surfing survivor susan
    sunshines suzuki svetlana swallow sweden sweet sweetheart sweetie sweetness sweetpea swimming switzerland swordfish sydney sylvester sylvia symbol
    system tabitha taekwondo tamara tanya target tarheels tatiana tatyana taurus taylor teacher teamo teddybear teenager teiubesc telecom telefon
    telephone temp template temporary tennessee tennis tequila teresa terminal terminator test tester testing testtest testpass texas thailand
    thankyou thebest thebeast thedoors theman themaster therock theresa thomas thompson thousand thumper thunder thunderbird thursday tiffany tiger
    tigers tigger timothy tinker tinkerbell tintin titanic titanium titans tomcat tommy toronto tornado toshiba tottenham toyota tractor training
    transfer transformer transformers travel travis treasure trinidad trinity tristan triumph trooper trouble troubles trumpet trustme trustno trustno1
    tucker tuesday turtle tuttle tweety twilight twister tyler ultimate ultra umbrella undertaker underworld unicorn united universal universe
    university unknown user username vacation vagina valencia valentin valentina valentine valerie valeria vampire vanessa vanilla vegeta velocity
    venice venus vera veronica victor victoria victory vietnam viking vikings vincent violet violin viper virginia virgin virtual vision visitor
    vkontakte vlad vladimir vladislav volcano volkswagen volleyball volcom voodoo voyager walker wallace walter warcraft warhammer warrior warriors
    washington water watermelon waterfall watson webmaster wednesday weekend welcome wellcome western westham westside whatever whatsup whiskey
    whisper white wildcat wildcats wildman william williams willie willow wilson windows windsurf winner winnie winston winter wisdom wizard wolf
    wolfgang wolfpack wolverine wombat women wonder wonderful woodland woofwoof working world wrangler wrestler wrestling wutang xavier xbox xboxlive
    yamaha yankee yankees yasmin yellow yourmom yousuck yuri yvonne zachary zaqwsx zeppelin zidane zildjian zombie zoology zxcvbn zxcvbnm
    correcthorsebatterystaple iamthebest openopen opensesame sesame letmeinplease mypass mysecret notapassword passphrase secretpassword supersecret
    topsecret password1 adminadmin administrator1 rootpassword changethis defaultpassword default ozon wildberries yandex rambler mailru odnoklassniki
    пароль привет любовь солнце наташа марина максим андрей люблю спартак россия москва
    """.split()
)


def weakness(password: str) -> str | None:
    """Says in a sentence why a password is not good enough, or None."""
    if len(password) < SHORTEST:
        return f"use {SHORTEST} characters or more; a few words in a row are easy to remember"
    if len(password) > LONGEST:
        return f"use {LONGEST} characters at most"
    if password.casefold() in leaked() or _is_common(password.casefold()):
        return "this is one of the passwords that everybody tries first: use another one"
    return None


@cache
def leaked() -> frozenset[str]:
    """The passwords that leaked most often. Read once, when the first one is chosen."""
    return frozenset(gzip.decompress((Path(__file__).parent / "common_passwords" / "words.txt.gz").read_bytes()).decode().splitlines())


def _is_common(password: str) -> bool:
    if len(set(password)) <= 2 or any(password in row or password[::-1] in row for row in _ROWS):
        return True
    half = password[: len(password) // 2]
    core, plain = _RIM.sub("", password), _RIM.sub("", password.translate(_LETTERS))
    words = {password, core, plain, password.translate(_LETTERS), _RIM.sub("", core.translate(_LETTERS))}
    return not words.isdisjoint(COMMON) or (half * 2 == password and half in COMMON) or (not core and len(password) < DIGITS_ENOUGH)
